import type { Db } from "@cortex/db";
import { sql } from "kysely";

/**
 * Lets go of a run so that a successor need not wait for the lease to end, and does not count as a lost attempt. Used on shutdown, before
 * the job goes back to the queue. Nothing happens if the attempt is superseded.
 */
export const handOver = async (db: Db, input: { runId: string; attempt: number }): Promise<void> => {
  await sql`
    update cortex.agent_runs set
      lease_until = clock_timestamp() - interval '1 millisecond',
      attempts_since_step = greatest(0, attempts_since_step - 1)
    where id = ${input.runId} and attempt = ${input.attempt} and status = 'running'`.execute(db);
};

/**
 * Ends the lease of an attempt that broke off, so that the sweeper brings the run back soon. It does count: a run that breaks every attempt is
 * given up.
 */
export const abandon = async (db: Db, input: { runId: string; attempt: number }): Promise<void> => {
  await sql`
    update cortex.agent_runs set lease_until = clock_timestamp() - interval '1 millisecond'
    where id = ${input.runId} and attempt = ${input.attempt} and status = 'running'`.execute(db);
};
