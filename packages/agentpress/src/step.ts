import type { Answer } from "./answer.ts";
import { askModel, defaultAnswerRetriesMs } from "./ask-model.ts";
import { estimateInput } from "./context/tokens.ts";
import type { AgentEvent, ModelCompleted } from "./events.ts";
import { type AgentMessage, type AssistantMessage, textContent } from "./messages.ts";
import type { ModelRequest } from "./model.ts";
import { afterCalls, cutShort, failed, type Run, staysOpen, type StepResult, waiting } from "./run.ts";
import { runStepCalls } from "./step-calls.ts";
import { affordableOutput, defaultMaxRepeatedCalls, refusalOf } from "./stop.ts";
import { claimsOf } from "./tool-calls.ts";
import { type PlannedCall, planCalls, refuseCalls } from "./tool-plan.ts";

/** @param affordable tokens that the budget still buys; null: no bound */
const requestOf = (run: Run, affordable: number | null): ModelRequest => {
  const { input } = run;
  const asked = input.parameters?.maxOutputTokens;
  return {
    model: input.model,
    instructions: input.instructions,
    messages: run.history,
    tools: run.tools.tools,
    parameters: {
      ...input.parameters,
      maxOutputTokens: affordable === null ? asked : Math.min(affordable, asked ?? affordable),
    },
    headers: { ...input.headers, "x-request-id": input.requestId, "x-cortex-run-id": input.runId },
  };
};

const affordableTokens = (run: Run): number | null =>
  run.input.limits.maxCostUsd === undefined
    ? null
    : affordableOutput({
        limits: run.input.limits,
        price: run.price,
        spent: run.spending.cost,
        // Without what was learned: of two guesses a bound takes the one that is high.
        inputTokens: estimateInput(requestOf(run, null)),
      });

/** The ids of all tool calls of the conversation: a new one must differ from them. */
const callIds = (history: readonly AgentMessage[]): Set<string> =>
  new Set(
    history.flatMap((message) => (message.role === "assistant" ? message.tool_calls.map((call) => call.id) : [])),
  );

const messageOf = (
  answer: Answer,
  calls: readonly PlannedCall[],
  status: AssistantMessage["status"],
): AssistantMessage => ({
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

/** One model call and what follows from it. */
export async function* takeStep(run: Run, step: number): AsyncGenerator<AgentEvent, StepResult, void> {
  const { deps, input, spending } = run;
  const affordable = affordableTokens(run);
  if (affordable === 0) return { outcome: failed(run, "budget_exceeded") };
  const request = requestOf(run, affordable);

  yield { type: "step.started", step, model: input.model };
  // Aborted while that was recorded: no model was asked, and a receipt must not say so.
  if (run.cancellation.endedBy() !== null) return { outcome: cutShort(run) };
  const startedAt = performance.now();
  const asked = yield* askModel(
    deps.model,
    {
      request,
      takenIds: callIds(run.history),
      retriesMs: deps.answerRetriesMs ?? defaultAnswerRetriesMs,
      spend: (usage) => spending.add(usage),
      estimateInput: () => run.inputEstimate.of(request),
    },
    run.cancellation.signal,
  );
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
    const { cause, ...facts } = error.facts;
    deps.log?.warn({ err: cause ?? error, run_id: input.runId, step, code: error.code, ...facts }, "model call failed");
    if (asked.kind === "limited") return { outcome: waiting(run, error) };
    return { outcome: failed(run, error.code, { message: error.message, interrupted: asked.interrupted }) };
  }

  const { answer, finish } = asked;
  if (answer.usage) run.inputEstimate.learn(request, answer.usage.input_tokens);
  const planned = planCalls(run.tools, answer.calls);
  const message = messageOf(answer, planned, finish === "length" ? "interrupted" : "complete");
  const refusal = refusalOf(
    [...run.history, message],
    finish,
    input.limits.maxRepeatedCalls ?? defaultMaxRepeatedCalls,
  );
  const calls = refusal ? refuseCalls(planned, refusal.toModel) : planned;
  const charge = spending.report();
  const elapsed = () => Math.round(performance.now() - startedAt);
  const facts = { step, ...charge, priced: spending.priced, finish_reason: finish, duration_ms: elapsed() };
  yield modelCompleted(answer, message, { claims: claimsOf(calls), ...facts });

  const result = yield* runStepCalls(run, calls);
  run.history.push(message, ...result.messages);
  const after = afterCalls(run, result);
  if (staysOpen(after)) return after;
  yield { type: "step.completed", step, ...charge, duration_ms: elapsed() };

  if (after) return after;
  if (refusal?.code) return { outcome: failed(run, refusal.code) };
  if (calls.length > 0) return null;
  if (finish !== "length") return { finished: true };
  const cutByBudget = affordable !== null && request.parameters.maxOutputTokens === affordable;
  return { outcome: failed(run, cutByBudget ? "budget_exceeded" : "output_truncated") };
}
