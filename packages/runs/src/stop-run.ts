import { AppError, canonicalUsd, isTerminal, type StopAccepted, type StopReceipt } from "@cortex/contracts";
import { asUser, type Db, type Scope, type Tx } from "@cortex/db";
import { failpoint } from "@cortex/failpoints";
import { sql } from "kysely";
import { settleCallsNotBegun } from "./abandoned-calls.ts";
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
    // A run that waits has calls to be settled, so its thread is locked first, as every write does. Then it is the caller who must not wait for
    // the step of a run that is at work.
    const flagged = await sql<
      Pick<RunRow, "status" | "cost_usd" | "thread_id"> & { stop_requested_at: Date; now: Date }
    >`
      with thread as materialized (
        select threads.id from cortex.threads join cortex.agent_runs on agent_runs.thread_id = threads.id
        where agent_runs.id = ${input.runId} and agent_runs.status in ('queued', 'waiting') and agent_runs.attempt > 0
        for update of threads
      )
      update cortex.agent_runs set
        stop_requested_at = coalesce(stop_requested_at, clock_timestamp()),
        stop_requested_by = coalesce(stop_requested_by, ${input.userId})
      where id = ${input.runId} and status in ('queued', 'running', 'waiting') and (select count(*) from thread) >= 0
      returning status, stop_requested_at, cost_usd, thread_id, clock_timestamp() as now`.execute(tx);
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
      aborted: await undecided(tx, input),
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
    if (endedHere) await settleCallsNotBegun(tx, { id: input.runId, thread_id: run.thread_id });
    return { run: endedHere ? { ...run, status: "stopped" as const } : run, endedHere };
  });
  if (!stopped) return null;
  await failpoint("stop.after_flag");
  const { run, endedHere } = stopped;
  if (endedHere) deps.closeLog({ runId: input.runId, scope: { userId: input.userId, accountId: null } });
  else if (!isTerminal(run.status)) deps.announceStop(input.runId);
  return { status: run.status, stop_requested_at: run.stop_requested_at?.toISOString() ?? null };
};

/** What the run asks people about, for the receipt: these questions are void. */
const undecided = async (tx: Tx, input: { runId: string }): Promise<string[]> => {
  const open = await tx
    .selectFrom("tool_approvals")
    .innerJoin("tool_calls", (join) =>
      join
        .onRef("tool_calls.run_id", "=", "tool_approvals.run_id")
        .onRef("tool_calls.call_id", "=", "tool_approvals.call_id"),
    )
    .select("tool_calls.name")
    .where("tool_approvals.run_id", "=", input.runId)
    .where("decision", "is", null)
    .orderBy("position")
    .execute();
  return open.map(({ name }) => `approval of ${name}`);
};
