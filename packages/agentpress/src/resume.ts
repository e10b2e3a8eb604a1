import { noUsage } from "@cortex/contracts";
import type { PendingToolCall } from "./agent.ts";
import type { AgentEvent } from "./events.ts";
import { toolMessage } from "./messages.ts";
import { afterCalls, type Run, staysOpen, type StepResult } from "./run.ts";
import { runStepCalls } from "./step-calls.ts";
import { settled, type UnfinishedCall } from "./tool-calls.ts";
import { planStoredCall } from "./tool-plan.ts";

const outcomeUnknown = (one: PendingToolCall): UnfinishedCall => ({
  tool_call_id: one.call.id,
  name: one.call.name,
  effect: "once",
  started: true,
  leftBehind: false,
  killed: [],
  result:
    "The run was interrupted during this call. It is not known whether it took effect; look before you repeat it.",
  effect_state: "unknown",
});

/** Did a settled call end the run, so that only the end itself was missed? */
const endedTheRun = (run: Run, one: PendingToolCall): boolean =>
  one.state === "done" && !one.isError && run.tools.tools.some((tool) => tool.endsRun && tool.name === one.call.name);

/** Finishes the step that an earlier attempt left open: settled calls are taken as they are, uncertain ones are said to be so. */
export async function* finishPendingCalls(run: Run): AsyncGenerator<AgentEvent, StepResult, void> {
  const pending = run.input.pendingToolCalls ?? [];
  if (pending.length === 0) return null;
  const startedAt = performance.now();

  for (const one of pending) {
    if (one.state === "done") run.history.push(toolMessage(one.call.id, one.result));
    if (one.state !== "unknown") continue;
    const unknown = outcomeUnknown(one);
    run.history.push(toolMessage(one.call.id, unknown.result));
    yield settled(unknown);
  }
  const toRun = pending.filter((one) => one.state === "run").map((one) => planStoredCall(run.tools, one.call));
  const result = yield* runStepCalls(run, toRun);
  run.history.push(...result.messages);

  const after = afterCalls(run, result);
  if (staysOpen(after)) return after;
  // Its model call was paid for and reported by the attempt that made it.
  const duration_ms = Math.round(performance.now() - startedAt);
  const step = run.input.firstStep - 1;
  yield { type: "step.completed", step, model: run.model.name, usage: noUsage, cost_usd: "0", duration_ms };
  return after ?? (pending.some((one) => endedTheRun(run, one)) ? { finished: true } : null);
}

/** An earlier attempt may have died between its last answer and its end: then there is nothing left to ask. */
export const isAnswered = (run: Run): boolean => {
  const last = run.history.at(-1);
  return (
    run.input.firstStep > 0 && last?.role === "assistant" && last.tool_calls.length === 0 && last.status === "complete"
  );
};
