import { byRun, hasEnded, runById } from "./group.ts";
import type { History, Violation } from "./history.ts";

/** What may still begin after a stop was recorded, because it was under way already. Milliseconds; 3 s are promised with pub/sub cut. */
const beganBeforeMs = 3_000;

/** I7: a stop is durable and prompt; no run is stopped that nobody wanted stopped; nothing begins long after the wish. */
export const checkStops = (history: History): Violation[] => {
  const runs = runById(history);
  const found: Violation[] = [];
  const add = (runId: string, what: string): void => void found.push({ invariant: "I7", runId, what });
  for (const ack of history.stops) {
    const run = runs.get(ack.runId);
    if (!run) continue; // I1 says so
    const had = ack.status === "completed" || ack.status === "failed";
    if (!had && run.stop_requested_at === null) add(ack.runId, "its stop was acknowledged and is not recorded");
    if (had && run.status !== ack.status) add(ack.runId, `had ended as ${ack.status} and is ${run.status} now`);
  }
  const wanted = new Set(history.stops.map(({ runId }) => runId));
  const steps = byRun(history.steps);
  const calls = byRun(history.toolCalls);
  for (const run of history.runs) {
    if (run.status === "stopped" && !wanted.has(run.id))
      add(run.id, "is stopped, and nobody was told that it would be");
    if (run.status === "stopped" && !run.has_receipt) add(run.id, "is stopped without a receipt");
    if (run.stop_requested_at === null || !hasEnded(run) || run.completed_at === null) continue;
    const took = run.completed_at - run.stop_requested_at;
    if (history.stopWithinMs !== null && took > history.stopWithinMs)
      add(run.id, `ended ${Math.round(took)} ms after its stop was recorded`);
    const began = [...(steps.get(run.id) ?? []), ...(calls.get(run.id) ?? [])].flatMap((row) => row.started_at ?? []);
    const late = Math.max(...began) - run.stop_requested_at;
    if (late > beganBeforeMs) add(run.id, `something began ${Math.round(late)} ms after its stop was recorded`);
  }
  return found;
};
