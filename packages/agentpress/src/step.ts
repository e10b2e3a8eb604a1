import type { Answer } from "./answer.ts";
import { approvalsNeeded, waitForPeople } from "./approval.ts";
import { askInContext } from "./context/ask-in-context.ts";
import type { ModelError } from "./errors.ts";
import type { AgentEvent, ModelCompleted } from "./events.ts";
import { type AssistantMessage, textContent } from "./messages.ts";
import { type ModelAsk, modelsOfStep } from "./model-asks.ts";
import { afterCalls, cutShort, failed, type Run, staysOpen, type StepResult, waiting } from "./run.ts";
import { runStepCalls } from "./step-calls.ts";
import { refusalOf, stopAfterCut } from "./stop.ts";
import { claimsOf } from "./tool-calls.ts";
import { isSound, type PlannedCall, planCalls, polls, refuseCalls } from "./tool-plan.ts";

const messageOf = (
  answer: Answer,
  calls: readonly PlannedCall[],
  status: AssistantMessage["status"],
): AssistantMessage => ({
  id: answer.id,
  role: "assistant",
  content: textContent(answer.text),
  tool_calls: calls.map((call) => call.request),
  status,
});

const modelCompleted = (
  answer: Answer,
  message: AssistantMessage,
  facts: Omit<ModelCompleted, "type" | "message" | "reasoning">,
): ModelCompleted => ({
  type: "model.completed",
  message: { id: answer.id, text: answer.text, tool_calls: [...message.tool_calls], status: message.status },
  reasoning: answer.reasoning,
  ...facts,
});

const logFailure =
  ({ deps, input }: Run, step: number) =>
  ({ request }: ModelAsk, error: ModelError): void => {
    const { cause, ...facts } = error.facts;
    const where = { run_id: input.runId, step, model: request.model };
    deps.log?.warn({ err: cause ?? error, ...where, code: error.code, ...facts }, "model call failed");
  };

/** One model call and what follows from it. */
export async function* takeStep(run: Run, step: number): AsyncGenerator<AgentEvent, StepResult, void> {
  const { input, spending } = run;
  const models = modelsOfStep(run);
  if (models === null) return { outcome: failed(run, "budget_exceeded") };
  yield { type: "step.started", step, model: input.model };
  // Aborted while that was recorded: no model was asked, and a receipt must not say so.
  if (run.cancellation.endedBy() !== null) return { outcome: cutShort(run) };
  const startedAt = performance.now();
  const asked = yield* askInContext(run, { step, models, onFailure: logFailure(run, step) });
  if (asked.kind === "unaffordable") return { outcome: failed(run, "budget_exceeded") };
  if (asked.kind === "aborted") {
    return {
      outcome: cutShort(run, {
        interrupted: asked.interrupted,
        aborted: [asked.leftBehind ? "model call, left behind" : "model call"],
      }),
    };
  }
  if (asked.kind === "failed" || asked.kind === "limited") {
    const { error } = asked;
    if (asked.kind === "limited") return { outcome: waiting(run, error) };
    return { outcome: failed(run, error.code, { message: error.message, interrupted: asked.interrupted }) };
  }

  const { answer, finish, ask } = asked;
  run.model = ask.model;
  if (answer.usage) run.inputEstimate.learn(ask.request, answer.usage.input_tokens);
  const planned = planCalls(run.tools, answer.calls);
  const message = messageOf(answer, planned, finish === "length" ? "interrupted" : "complete");
  const refusal = refusalOf({
    history: [...run.history, message],
    limits: input.limits,
    isSound: (call) => isSound(run.tools, call),
    polls: (call) => polls(run.tools, call),
  });
  const calls = refusal ? refuseCalls(planned, refusal.toModel) : planned;
  const charge = spending.report();
  const elapsed = () => Math.round(performance.now() - startedAt);
  const who = { model: ask.model.name, priced: ask.model.price !== null };
  const facts = { step, ...who, ...charge, finish_reason: finish, duration_ms: elapsed() };
  const approvals = approvalsNeeded(run, calls);
  yield modelCompleted(answer, message, { claims: claimsOf(calls, approvals), ...facts });
  if (approvals.length > 0) return { outcome: waitForPeople(run, calls, approvals) };

  const result = yield* runStepCalls(run, calls);
  run.history.push(message, ...result.messages);
  const after = afterCalls(run, result);
  if (staysOpen(after)) return after;
  yield { type: "step.completed", step, model: ask.model.name, ...charge, duration_ms: elapsed() };

  if (after) return after;
  if (refusal?.code) return { outcome: failed(run, refusal.code) };
  if (calls.length > 0) return null;
  if (finish !== "length") return { finished: true };
  const code = stopAfterCut(run.history, input.limits, ask.boundByBudget);
  return code ? { outcome: failed(run, code) } : null;
}
