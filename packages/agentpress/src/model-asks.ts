import { type AskInput, defaultAnswerRetriesMs } from "./ask-model.ts";
import { asAsked, partsAtEnd } from "./context/continuation.ts";
import { messagesToSend } from "./context/run-context.ts";
import { estimateInput, fixedTokens } from "./context/tokens.ts";
import type { ModelParameters, ModelRequest } from "./model.ts";
import type { AskedModel } from "./models/asked-model.ts";
import type { Run } from "./run.ts";
import { affordableOutput } from "./stop.ts";

/** What one model is asked in a step. */
export interface ModelAsk extends AskInput {
  model: AskedModel;
  /** The budget bounds the answer more than anything else does. */
  boundByBudget: boolean;
}

/** Whom a step asks. What the others are asked is made when their turn comes; null: the budget does not buy it. */
export interface StepModels {
  first: ModelAsk;
  others: readonly { model: AskedModel; ask: () => ModelAsk | null }[];
}

/** The smaller of two bounds; null: no bound. */
const smaller = (left: number | null, right: number | null): number | null =>
  left === null || right === null ? (left ?? right) : Math.min(left, right);

/**
 * How much the model may write; undefined: what it likes. Providers refuse a request for more than the model can, so neither what the agent wants nor what a
 * budget buys is sent when it is beyond that.
 * @param affordable tokens that the budget still buys; null: no bound
 */
const outputLimit = ({ input }: Run, { known }: AskedModel, affordable: number | null): number | undefined => {
  const most = known?.max_output_tokens ?? known?.context_window ?? null;
  const asked = input.parameters?.maxOutputTokens ?? null;
  const wanted = asked === null ? null : smaller(asked, most);
  const binding = affordable !== null && (most === null || affordable < most) ? affordable : null;
  return smaller(wanted, binding) ?? undefined;
};

/** How hard to think was said about the run's own model; another one that does not think would refuse to be told. */
const reasoningEffort = ({ input, models: [own] }: Run, model: AskedModel): ModelParameters["reasoningEffort"] =>
  model === own || model.known?.abilities.reasoning !== false ? input.parameters?.reasoningEffort : undefined;

/** @param affordable tokens that the budget still buys; null: no bound */
const requestOf = (run: Run, model: AskedModel, affordable: number | null): ModelRequest => {
  const { input } = run;
  const { tools } = run.tools;
  const { instructions } = input;
  return {
    model: model.name,
    instructions,
    messages: asAsked(messagesToSend(run.context, model, run.history, fixedTokens({ instructions, tools }))),
    tools,
    parameters: {
      ...input.parameters,
      reasoningEffort: reasoningEffort(run, model),
      maxOutputTokens: outputLimit(run, model, affordable),
    },
    promptCache: model.known?.abilities.prompt_cache ?? "automatic",
    headers: { ...input.headers, "x-request-id": input.requestId, "x-cortex-run-id": input.runId },
  };
};

const affordableTokens = (run: Run, model: AskedModel): number | null =>
  run.input.limits.maxCostUsd === undefined
    ? null
    : affordableOutput({
        limits: run.input.limits,
        price: model.price,
        spent: run.spending.cost,
        // Without what was learned: of two guesses a bound takes the one that is high.
        inputTokens: estimateInput(requestOf(run, model, null)),
      });

/** The ids of all tool calls of the conversation, also of those that are no longer sent: a new one must differ from them. */
const callIds = ({ context, history }: Run): Set<string> =>
  new Set([
    ...context.takenIds,
    ...history.flatMap((message) => (message.role === "assistant" ? message.tool_calls.map((call) => call.id) : [])),
  ]);

/** A model whose price nobody knows would spend a budget without anybody noticing, so a fallback must not be one. */
const escapesBudget = ({ input, models: [own] }: Run, model: AskedModel): boolean =>
  input.limits.maxCostUsd !== undefined && own.price !== null && model.price === null;

const askOf = (run: Run, model: AskedModel, takenIds: ReadonlySet<string>): ModelAsk | null => {
  const affordable = affordableTokens(run, model);
  if (affordable === 0 || escapesBudget(run, model)) return null;
  const request = requestOf(run, model, affordable);
  return {
    model,
    request,
    continues: partsAtEnd(run.history) > 0,
    takenIds,
    boundByBudget: affordable !== null && request.parameters.maxOutputTokens === affordable,
    retriesMs: run.deps.answerRetriesMs ?? defaultAnswerRetriesMs,
    estimateInput: () => run.inputEstimate.of(request),
    spend: (usage) => run.spending.add(usage, model.price),
  };
};

/**
 * Whom a step asks, in order: who answered last, or the run's own model where the budget does not buy that one any more, then the others
 * as they were given. Null: the budget buys neither.
 */
export const modelsOfStep = (run: Run): StepModels | null => {
  const takenIds = callIds(run);
  for (const model of new Set([run.model, run.models[0]])) {
    const ask = askOf(run, model, takenIds);
    if (ask === null) continue;
    const others = run.models.filter((other) => other !== model);
    return { first: ask, others: others.map((other) => ({ model: other, ask: () => askOf(run, other, takenIds) })) };
  }
  return null;
};
