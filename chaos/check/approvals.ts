import { byRun } from "./group.ts";
import type { History, Violation } from "./history.ts";

/** Whoever is in one of these has begun. */
const acted = new Set(["started", "done", "unknown"]);

/**
 * I8: what people are asked about happens only when somebody has approved it. And a decision that was acknowledged stands, and is not asked for again:
 * a run that completed has left no question open.
 */
export const checkApprovals = (history: History): Violation[] => {
  const found: Violation[] = [];
  const calls = byRun(history.toolCalls);
  for (const { runId, callId, decision } of history.decisions) {
    const call = calls.get(runId)?.find(({ call_id }) => call_id === callId);
    if (call?.decision !== decision)
      found.push({ invariant: "I8", runId, what: `${decision} of call ${callId} was acknowledged and is not stored` });
  }
  for (const run of history.runs) {
    for (const call of calls.get(run.id) ?? []) {
      if (!call.asked) continue;
      const say = (what: string): void =>
        void found.push({ invariant: "I8", runId: run.id, what: `call ${call.call_id} ${what}` });
      if (acted.has(call.state) && (call.decision === null || call.decision === "reject"))
        say("acted, and nobody had approved it");
      if (run.status === "completed" && call.decision === null) say("is undecided, and its run has completed");
    }
  }
  return found;
};
