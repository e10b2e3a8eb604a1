import { type Db, inScope, type Scope } from "@cortex/db";
import type { Logger } from "@cortex/observability";
import { ensureLog, type LogPort } from "./ensure-log.ts";

/**
 * Brings the log of an ended run to its end and notes the last cursor on the run, so that a client at the end gets its answer without
 * Redis. Never throws: what fails here is found by the sweeper.
 * @returns whether the log is closed now
 */
export const closeLog = async (
  deps: { db: Db; log: Logger; eventLog: LogPort },
  input: { runId: string; scope: Scope },
): Promise<boolean> => {
  try {
    const state = await ensureLog({ db: deps.db, log: deps.eventLog }, { ...input, as: "writer" });
    if (!state?.closed) return false;
    await inScope(deps.db, input.scope, (tx) =>
      tx
        .updateTable("agent_runs")
        .set({ log_cursor: `${state.epoch}.${state.length - 1}` })
        .where("id", "=", input.runId)
        .where("log_cursor", "is", null)
        .execute(),
    );
    return true;
  } catch (error) {
    deps.log.warn({ err: error, run_id: input.runId }, "could not close the log of an ended run; a sweep will");
    return false;
  }
};
