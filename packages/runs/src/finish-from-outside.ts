import { type RunError, type StopReceipt, type TerminalRunStatus } from "@cortex/contracts";
import { releaseReservation } from "@cortex/billing";
import { jsonText, type Tx } from "@cortex/db";
import { sql } from "kysely";

/** An end that no attempt writes: the run never started, or its worker is gone for good. */
export interface OutsideEnd {
  runId: string;
  /** The attempt on which the end was decided; null: whichever it is by now. */
  attempt: number | null;
  status: Exclude<TerminalRunStatus, "completed">;
  error: RunError | null;
  receipt: StopReceipt | null;
  /** Only if its time is still over: somebody may have decided meanwhile, and given it more. */
  overdue?: boolean;
}

/**
 * Ends a run on behalf of nobody: only if no living worker holds it. Raises the attempt, so that a worker that comes back writes nothing;
 * takes the run off the outbox; gives the reservation back. The caller settles tool calls that were under way, and closes the log after
 * its commit (`closeLog`).
 * @returns false if the run has ended meanwhile, is held by a living worker, or was taken up again: nothing was written
 */
export const finishFromOutside = async (tx: Tx, end: OutsideEnd): Promise<boolean> => {
  const result = await sql<{ account_id: string; reserved_usd: string }>`
    update cortex.agent_runs set
      status = ${end.status},
      attempt = attempt + 1,
      error = ${end.error ? jsonText(end.error) : null}::jsonb,
      stop_receipt = ${end.receipt ? jsonText(end.receipt) : null}::jsonb
    where id = ${end.runId} and attempt = coalesce(${end.attempt}::int, attempt)
      and (${end.overdue !== true} or deadline_at < clock_timestamp())
      and (status in ('queued', 'waiting') or (status = 'running' and lease_until < clock_timestamp()))
    returning account_id, reserved_usd`.execute(tx);
  const [ended] = result.rows;
  if (!ended) return false;
  // A statement of its own: if the update waited for the end of the run's wait, only a later look sees the outbox row that came with that. It would
  // be chosen by each admission, for ever.
  await tx.deleteFrom("outbox").where("run_id", "=", end.runId).execute();
  await releaseReservation(tx, { accountId: ended.account_id, runId: end.runId, reservedUsd: ended.reserved_usd });
  return true;
};
