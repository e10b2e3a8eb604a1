import { addUsage, addUsd, type RunEvent } from "@cortex/contracts";
import { appendReasoning, appendText, completeMessage, discardMessage, withoutPreviews } from "./messages.ts";
import { emptyRunView, type RunView, type StepView } from "./run-view.ts";
import { appendArguments, appendOutput, endCall, leaveCalls, restartCalls, startCall } from "./tool-calls.ts";

type Of<Type extends RunEvent["type"]> = Extract<RunEvent, { type: Type }>;

/**
 * The view of a run after one more event of its stream: pure, and cheap for previews. Feed it every event of `followRun` in order, from
 * `emptyRunView` on; on the same log it gives the same view wherever connections broke. Unknown events change nothing.
 *
 * What stays after the end is what is stored: previews that were never completed go with the attempt that made them.
 */
export const reduceRun = (view: RunView, event: RunEvent): RunView => {
  switch (event.type) {
    case "run.queued":
      return { ...view, status: "queued", position: event.position ?? null, createdAt: event.at };
    case "run.started":
      return {
        ...view,
        status: "running",
        position: null,
        model: event.model,
        attempt: event.attempt,
        startedAt: event.at,
      };
    case "attempt.started":
      return {
        ...restartCalls(withoutPreviews(view)),
        status: "running",
        waiting: null,
        resumeAt: null,
        attempt: event.attempt,
      };
    case "step.started":
      return beginStep(view, event);
    case "step.completed":
      return endStep(view, event);
    case "message.delta":
      return appendText(view, event);
    case "reasoning.delta":
      return appendReasoning(view, event);
    case "message.completed":
      return completeMessage(view, event);
    case "context.compacted":
      return { ...view, usage: addUsage(view.usage, event.usage), costUsd: addUsd(view.costUsd, event.cost_usd) };
    case "message.discarded":
      return discardMessage(view, event);
    case "tool_call.delta":
      return appendArguments(view, event);
    case "tool_call.started":
      return startCall(view, event);
    case "tool_call.output":
      return appendOutput(view, event);
    case "tool_call.completed":
      return endCall(view, event);
    case "run.waiting":
      return { ...view, status: "waiting", waiting: event.reason, resumeAt: event.resume_at ?? null };
    case "run.resumed":
      return { ...view, status: "running", waiting: null, resumeAt: null };
    case "run.completed":
      return { ...end(view, event), status: "completed" };
    case "run.failed":
      return { ...end(view, event), status: "failed", error: event.error };
    case "run.stopped":
      return { ...end(view, event), status: "stopped", receipt: event.receipt };
    case "log.truncated":
      return { ...view, truncated: true };
    case "resync":
      return emptyRunView;
    default:
      return view; // of a newer API
  }
};

const beginStep = (view: RunView, event: Of<"step.started">): RunView => {
  const begun: StepView = {
    step: event.step,
    model: event.model,
    status: "running",
    usage: null,
    costUsd: null,
    durationMs: null,
  };
  return { ...view, steps: [...view.steps.filter(({ step }) => step !== event.step), begun] };
};

const endStep = (view: RunView, event: Of<"step.completed">): RunView => {
  const known = view.steps.find(({ step }) => step === event.step);
  const ended: StepView = {
    step: event.step,
    model: event.model,
    status: "completed",
    usage: event.usage,
    costUsd: event.cost_usd,
    durationMs: event.duration_ms,
  };
  return {
    ...view,
    steps: known ? view.steps.map((step) => (step === known ? ended : step)) : [...view.steps, ended],
    usage: addUsage(view.usage, event.usage),
    costUsd: addUsd(view.costUsd, event.cost_usd),
  };
};

const end = (view: RunView, event: Of<"run.completed" | "run.failed" | "run.stopped">): RunView => ({
  ...leaveCalls(withoutPreviews(view)),
  position: null,
  waiting: null,
  resumeAt: null,
  usage: event.usage,
  costUsd: event.cost_usd,
  endedAt: event.at,
});
