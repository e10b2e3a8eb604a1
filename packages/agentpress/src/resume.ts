import { noUsage } from "@cortex/contracts";
import type { PendingToolCall } from "./agent.ts";
import { openApproval, waitForPeople } from "./approval.ts";
import { planDecidedCall } from "./decided-call.ts";
import type { AgentEvent } from "./events.ts";
import { toolMessage } from "./messages.ts";
import { afterCalls, failed, type Run, staysOpen, type StepResult } from "./run.ts";
import { runStepCalls } from "./step-calls.ts";
import { type Refusal, refusalOf, stopAfterCut } from "./stop.ts";
import { settled, type UnfinishedCall } from "./tool-calls.ts";
import { isSound, planStoredCall, polls, refuseCalls } from "./tool-plan.ts";

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

/**
 * Why the calls of the last answer were refused, if they were: as in the step that was left. What it refused has no claim of its own, and must not run
 * because somebody else takes it up.
 */
const refusalOfLast = ({ history, input, tools }: Run): Refusal | null => {
  const answered = history.slice(0, history.findLastIndex((message) => message.role === "assistant") + 1);
  return refusalOf({
    history: answered,
    limits: input.limits,
    isSound: (call) => isSound(tools, call),
    polls: (call) => polls(tools, call),
  });
};

/** An earlier attempt may have died when all that was missing was the end of a run that had failed. */
export const failedBefore = (run: Run): StepResult => {
  if (run.input.firstStep === 0 || run.history.at(-1)?.role === "user") return null;
  const code = refusalOfLast(run)?.code ?? stopAfterCut(run.history, run.input.limits, false);
  return code ? { outcome: failed(run, code) } : null;
};

/** Finishes the step that an earlier attempt left open: settled calls are taken as they are, uncertain ones are said to be so. */
export async function* finishPendingCalls(run: Run): AsyncGenerator<AgentEvent, StepResult, void> {
  const pending = run.input.pendingToolCalls ?? [];
  if (pending.length === 0) return null;
  const startedAt = performance.now();
  // What people were asked about had not been refused.
  const asked = pending.some((one) => one.state === "decided" || one.state === "awaiting");
  const refusal = asked ? null : refusalOfLast(run);
  const { tools } = run;
  const planned = pending.flatMap((one) => {
    if (one.state === "decided") return [planDecidedCall(tools, one)];
    return one.state === "run" || one.state === "awaiting" ? [planStoredCall(tools, one.call)] : [];
  });
  const open = pending.filter((one) => one.state === "awaiting").map((one) => openApproval(one.call));
  if (open.length > 0) return { outcome: waitForPeople(run, planned, open) };

  for (const one of pending) {
    if (one.state === "done") run.history.push(toolMessage(one.call.id, one.result));
    if (one.state !== "unknown") continue;
    const unknown = outcomeUnknown(one);
    run.history.push(toolMessage(one.call.id, unknown.result));
    yield settled(unknown);
  }
  const toRun = refusal ? refuseCalls(planned, refusal.toModel) : planned;
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

/** Did the calls of the last answer, which all have their results, end the run? A call that fits a pure tool has not failed. */
const endedByCalls = (run: Run): boolean => {
  const { history, tools } = run;
  const answer = history.findLast((message) => message.role === "assistant");
  if (history.at(-1)?.role !== "tool" || !answer || refusalOfLast(run)) return false;
  return answer.tool_calls.some((call) => {
    const { acts } = planStoredCall(tools, call);
    return acts?.endsRun === true && acts.effect === "pure";
  });
};

/** An earlier attempt may have died between its last answer and its end: then there is nothing left to ask. */
export const isAnswered = (run: Run): boolean => {
  if (run.input.firstStep === 0) return false;
  const last = run.history.at(-1);
  return last?.role === "assistant" ? last.tool_calls.length === 0 && last.status === "complete" : endedByCalls(run);
};
