import { AppError, canonicalUsd, isTerminal, type StopAccepted, type StopReceipt } from "@cortex/contracts";
import { asUser, type Db, type Scope } from "@cortex/db";
import { failpoint } from "@cortex/failpoints";
import { sql } from "kysely";
import { finishFromOutside } from "./finish-from-outside.ts";
import type { RunRow } from "./run.ts";

export interface StopRunDeps {
  db: Db;
  /** Tells the worker that holds the run, by the quickest way; its heartbeat finds the flag anyway. Never throws. */
  announceStop: (runId: string) => void;
  /** Closes the log of a run that was ended here. Never throws; the sweeper does it otherwise. */
  closeLog: (run: { runId: string; scope: Scope }) => void;
}

/**
 * Records the wish to stop a run; durable when this returns. A run that nobody executes ends at once; one that a worker holds ends when the
 * worker has let go, which the heartbeat bounds. Repeating it changes nothing, and a run that has ended stays what it is.
 * @returns null if the caller sees no such run. Error: `forbidden` (a viewer)
 */
export const stopRun = async (
  deps: StopRunDeps,
  input: { runId: string; userId: string; accountId: string | null },
): Promise<StopAccepted | null> => {
  const stopped = await asUser(deps.db, input, async (tx) => {
    const flagged = await sql<Pick<RunRow, "status" | "cost_usd"> & { stop_requested_at: Date; now: Date }>`
      update cortex.agent_runs set
        stop_requested_at = coalesce(stop_requested_at, clock_timestamp()),
        stop_requested_by = coalesce(stop_requested_by, ${input.userId})
      where id = ${input.runId} and status in ('queued', 'running', 'waiting')
      returning status, stop_requested_at, cost_usd, clock_timestamp() as now`.execute(tx);
    const [run] = flagged.rows;
    if (!run) {
      const ended = await tx
        .selectFrom("agent_runs")
        .select(["status", "stop_requested_at"])
        .where("id", "=", input.runId)
        .executeTakeFirst();
      // Seen, not ended, and yet not flagged: row-level security lets a viewer read the run but not change it.
      if (ended && !isTerminal(ended.status))
        throw new AppError("forbidden", "your role in this account may not stop runs");
      return ended ? { run: ended, endedHere: false } : null;
    }
    if (run.status === "running") return { run, endedHere: false };
    const receipt: StopReceipt = {
      requested_at: run.stop_requested_at.toISOString(),
      stopped_at: run.now.toISOString(),
      aborted: [],
      killed: [],
      charged_usd: canonicalUsd(run.cost_usd),
    };
    const endedHere = await finishFromOutside(tx, {
      runId: input.runId,
      attempt: null,
      status: "stopped",
      error: null,
      receipt,
    });
    return { run: endedHere ? { ...run, status: "stopped" as const } : run, endedHere };
  });
  if (!stopped) return null;
  await failpoint("stop.after_flag");
  const { run, endedHere } = stopped;
  if (endedHere) deps.closeLog({ runId: input.runId, scope: { userId: input.userId, accountId: null } });
  else if (!isTerminal(run.status)) deps.announceStop(input.runId);
  return { status: run.status, stop_requested_at: run.stop_requested_at?.toISOString() ?? null };
};
