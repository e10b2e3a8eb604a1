import { asOwner, SetUpError } from "./owner-connection.ts";

/*
 * `npm run db:plan -- <plan>` (or `DEFAULT_PLAN`): the plan of accounts that come from now on. Without it that is `free`, where a run needs
 * credit; `local` bills nobody. Accounts that exist keep theirs.
 */

await asOwner(async (client) => {
  const plans = await client.query<{ id: string }>("select id from cortex.plans order by id");
  const known = plans.rows.map(({ id }) => id);
  const wanted = process.argv[2] ?? process.env["DEFAULT_PLAN"] ?? "";
  if (!known.includes(wanted)) throw new SetUpError(`"${wanted}" is no plan: name one of ${known.join(", ")}.`);
  await client.query("update cortex.settings set default_plan_id = $1", [wanted]);
  return `new accounts get the plan ${wanted}`;
});
