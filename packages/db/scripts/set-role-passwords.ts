import { setRolePasswords } from "../src/role-passwords.ts";
import { asOwner, required, SetUpError } from "./owner-connection.ts";

/*
 * `npm run db:roles`: lets the API and the workers log in. Their roles come from the migrations, without a password; this sets the ones of
 * `CORTEX_API_DB_PASSWORD` and `CORTEX_WORKER_DB_PASSWORD`. Again with other values: a rotation (connections that are open stay open).
 */

/** Random text of this length withstands guessing over a network that anybody may reach. */
const shortest = 16;

const password = (name: string, role: string): string => {
  const value = required(name, `the password that ${role} is to have`);
  if (value.length < shortest) throw new SetUpError(`${name} is too short: at least ${shortest} characters.`);
  return value;
};

await asOwner(async (client) => {
  await setRolePasswords(client, {
    cortex_api: password("CORTEX_API_DB_PASSWORD", "cortex_api"),
    cortex_worker: password("CORTEX_WORKER_DB_PASSWORD", "cortex_worker"),
  });
  return "cortex_api and cortex_worker can log in";
});
