import type { History, RunRecord } from "./history.ts";

/** Rows of one kind by the run that they belong to. */
export const byRun = <Row extends { run_id: string | null }>(rows: readonly Row[]): Map<string, Row[]> =>
  Map.groupBy(rows, ({ run_id }) => run_id ?? "");

const terminal = new Set(["completed", "failed", "stopped"]);

export const hasEnded = (run: Pick<RunRecord, "status">): boolean => terminal.has(run.status);

/** The attempts that worked: ending a run raises the number once more. */
export const workedAttempts = (run: RunRecord): number => (hasEnded(run) ? Math.max(0, run.attempt - 1) : run.attempt);

export const runById = (history: History): Map<string, RunRecord> => new Map(history.runs.map((run) => [run.id, run]));
