import { sql } from "kysely";
import type { Db } from "./client.ts";

/** What Postgres promises about a commit on this connection. Also the cheapest question that proves it answers. */
export const readDurability = async (db: Db): Promise<{ fsync: string; synchronous_commit: string }> => {
  const { rows } = await sql<{ fsync: string; synchronous_commit: string }>`
    select current_setting('fsync') as fsync, current_setting('synchronous_commit') as synchronous_commit`.execute(db);
  const [row] = rows;
  if (!row) throw new Error("Postgres did not answer about its settings");
  return row;
};
