import { hasEnded, runById } from "./group.ts";
import type { History, Violation } from "./history.ts";

/** I1: an acknowledged run is never lost: it is there, once, and it has ended. */
export const checkLost = (history: History): Violation[] => {
  const runs = runById(history);
  const found: Violation[] = [];
  for (const { runId } of history.acks) {
    if (!runs.has(runId)) found.push({ invariant: "I1", runId, what: "was acknowledged and is in no table" });
  }
  for (const run of history.runs) {
    if (!hasEnded(run)) found.push({ invariant: "I1", runId: run.id, what: `is still ${run.status}` });
  }
  const acknowledged = new Map<string, string>();
  for (const { runId, threadId } of history.acks) acknowledged.set(threadId, runId);
  // One key for each thread's only start: whatever answers got lost, there is one run.
  for (const [threadId, runs] of Map.groupBy(history.runs, ({ thread_id }) => thread_id)) {
    if (runs.length > 1) {
      const runId = acknowledged.get(threadId) ?? null;
      found.push({ invariant: "I1", runId, what: `one start made ${runs.length} runs` });
    }
  }
  return found;
};

/** I2: exactly one terminal status, written once. */
export const checkEnds = (history: History): Violation[] =>
  history.runs.filter(hasEnded).flatMap((run): Violation[] => {
    const found: Violation[] = [];
    if (run.terminal_writes !== 1)
      found.push({ invariant: "I2", runId: run.id, what: `its end was written ${run.terminal_writes} times` });
    if (run.completed_at === null) found.push({ invariant: "I2", runId: run.id, what: "has ended at no time" });
    return found;
  });
