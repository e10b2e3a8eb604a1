import { join } from "node:path";
import { migrate } from "../src/migrate.ts";
import { asOwner } from "./owner-connection.ts";

/*
 * `npm run db:migrate`: applies what is missing of supabase/migrations to `DATABASE_URL`, as `supabase db push` does and into the same
 * history table, for where the Supabase CLI is not at hand (docker-compose.yml). No seed: that is for development.
 */

const folder = join(import.meta.dirname, "../../../supabase/migrations");

await asOwner(async (client) => {
  const applied = await migrate(client, { folder });
  return applied.length === 0 ? "the database is up to date" : `applied ${applied.join(", ")}`;
});
