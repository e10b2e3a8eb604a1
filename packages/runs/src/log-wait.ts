import type { Db } from "@cortex/db";
import type { Logger } from "@cortex/observability";
import { ensureLog, type LogPort } from "./ensure-log.ts";
import type { RunRow } from "./run.ts";

/**
 * Brings the log of a run that waits up to its `run.waiting`, which its worker has committed and not got out: it died, or Redis was away. Nobody
 * holds the run, and those who follow it would be told nothing until the wait is over. Never throws; what fails is left to the next sweep.
 *
 * It writes in the name of the attempt that has ended with the wait. That is safe although its worker may still be about to say the same: of two
 * appends to one place one is `lost`, and whoever lost it looks again. The attempt that comes next fences both.
 * @returns whether the log can be reached
 */
export const logWait = async (
  deps: { db: Db; log: Logger; eventLog: LogPort },
  run: Pick<RunRow, "id" | "account_id" | "attempt">,
): Promise<boolean> => {
  const scope = { userId: null, accountId: run.account_id };
  try {
    await ensureLog({ db: deps.db, log: deps.eventLog }, { runId: run.id, scope, as: "sweeper" });
    await deps.db
      .updateTable("agent_runs")
      .set({ wait_unlogged_since: null })
      .where("id", "=", run.id)
      .where("attempt", "=", run.attempt)
      .where("status", "=", "waiting")
      .execute();
    return true;
  } catch (error) {
    deps.log.warn({ err: error, run_id: run.id }, "could not say in its log that a run waits; a sweep will");
    return false;
  }
};
