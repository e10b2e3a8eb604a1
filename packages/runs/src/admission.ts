import type { Db } from "@cortex/db";
import { failpoint } from "@cortex/failpoints";
import { sql } from "kysely";
import type { Deliver } from "./run.ts";

/**
 * Gives waiting runs the places that are free in the fleet, fairly over accounts (supabase/migrations: cortex.admit_runs), and hands them
 * to the queue. Any number of processes may call it at once. One statement.
 * @returns how many were admitted
 */
export const admitRuns = async (deps: { db: Db; deliver: Deliver }, input: { batch: number }): Promise<number> => {
  const admitted = await sql<{
    run_id: string;
    delivery: number;
  }>`select * from cortex.admit_runs(${input.batch})`.execute(deps.db);
  if (admitted.rows.length > 0) await failpoint("admit.after_commit");
  for (const row of admitted.rows) deps.deliver({ runId: row.run_id, delivery: row.delivery });
  return admitted.rows.length;
};
