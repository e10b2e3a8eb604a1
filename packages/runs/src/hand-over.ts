import { asAccount, type Db, type Tx } from "@cortex/db";
import { failpoint } from "@cortex/failpoints";
import { sql } from "kysely";
import type { Outlast } from "./outlast.ts";

/**
 * Lets go of a run so that a successor need not wait for the lease to end, and does not count as a lost attempt. Used on shutdown, before
 * the job goes back to the queue. Nothing happens if the attempt is superseded, or if this was done before and its answer was lost. The run is
 * nobody's from here on, so that a heartbeat which is still on its way does not renew the lease again.
 * @param input.notBegun claimed tool calls that never acted: the successor may run them, whatever their effect
 */
export const handOver = async (
  deps: { db: Db; outlast: Outlast },
  input: { runId: string; accountId: string; attempt: number; notBegun: readonly string[] },
): Promise<void> => {
  const writeId = crypto.randomUUID();
  const release = (tx: Tx) =>
    sql`
      with handed as (
        update cortex.agent_runs set
          last_write_id = ${writeId},
          worker_id = null,
          lease_until = clock_timestamp() - interval '1 millisecond',
          attempts_since_step = greatest(0, attempts_since_step - 1)
        where id = ${input.runId} and attempt = ${input.attempt} and status = 'running'
          and last_write_id is distinct from ${writeId}
        returning id
      )
      update cortex.tool_calls set state = 'released'
      from handed
      where tool_calls.run_id = handed.id and state = 'started' and call_id = any(${input.notBegun}::text[])`.execute(
      tx,
    );
  await deps.outlast(() => asAccount(deps.db, { accountId: input.accountId }, release));
  await failpoint("handover.after_commit");
};

/**
 * Ends the lease of an attempt that broke off, so that the sweeper brings the run back soon. It does count: a run that breaks every attempt is
 * given up.
 */
export const abandon = async (
  deps: { db: Db; outlast: Outlast },
  input: { runId: string; attempt: number },
): Promise<void> => {
  await deps.outlast(() =>
    sql`
      update cortex.agent_runs set worker_id = null, lease_until = clock_timestamp() - interval '1 millisecond'
      where id = ${input.runId} and attempt = ${input.attempt} and status = 'running'`.execute(deps.db),
  );
};
