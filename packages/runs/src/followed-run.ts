import { type Cursor, isTerminal, parseCursor, type RunStatus } from "@cortex/contracts";
import type { Tx } from "@cortex/db";

/** What is asked of a run before, and again while, somebody follows it. */
export interface FollowedRun {
  status: RunStatus;
  /** The epoch that the live log has, or will have once it is made. */
  epoch: number;
  /** The last cursor of the log; null until the run has ended and its log was closed. */
  end: Cursor | null;
}

/** May this caller follow the run, and where does its log end? One statement. Null: no such run for this caller. */
export const findFollowedRun = async (tx: Tx, input: { runId: string }): Promise<FollowedRun | null> => {
  const row = await tx
    .selectFrom("agent_runs")
    .innerJoin("projects", "projects.id", "agent_runs.project_id")
    .select(["agent_runs.status", "agent_runs.log_epoch", "agent_runs.log_cursor"])
    .where("agent_runs.id", "=", input.runId)
    .where("projects.deleted_at", "is", null)
    .executeTakeFirst();
  if (!row) return null;
  const end = row.log_cursor === null || !isTerminal(row.status) ? null : parseCursor(row.log_cursor);
  return { status: row.status, epoch: row.log_epoch, end };
};
