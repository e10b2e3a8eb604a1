import { asAccount, type Db } from "@cortex/db";
import { failpoint } from "@cortex/failpoints";
import { sql } from "kysely";

/**
 * Lets go of a run so that a successor need not wait for the lease to end, and does not count as a lost attempt. Used on shutdown, before
 * the job goes back to the queue. Nothing happens if the attempt is superseded.
 * @param input.notBegun claimed tool calls that never acted: the successor may run them, whatever their effect
 */
export const handOver = async (
  db: Db,
  input: { runId: string; accountId: string; attempt: number; notBegun: readonly string[] },
): Promise<void> => {
  await asAccount(db, { accountId: input.accountId }, (tx) =>
    sql`
      with handed as (
        update cortex.agent_runs set
          lease_until = clock_timestamp() - interval '1 millisecond',
          attempts_since_step = greatest(0, attempts_since_step - 1)
        where id = ${input.runId} and attempt = ${input.attempt} and status = 'running'
        returning id
      )
      update cortex.tool_calls set state = 'released'
      from handed
      where tool_calls.run_id = handed.id and state = 'started' and call_id = any(${input.notBegun}::text[])`.execute(
      tx,
    ),
  );
  await failpoint("handover.after_commit");
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
