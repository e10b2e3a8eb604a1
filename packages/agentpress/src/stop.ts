import type { RunErrorCode } from "@cortex/contracts";
import type { AgentLimits } from "./agent.ts";
import type { AgentMessage, AssistantMessage } from "./messages.ts";
import type { FinishReason } from "./model.ts";
import { type ModelPrice, perToken, ratesFor } from "./models/catalogue.ts";
import { type UsdUnits, usdToUnits } from "./money.ts";
import { canonical } from "./tool-arguments.ts";

/** Three times the same is a loop; twice may be a retry that makes sense. */
export const defaultMaxRepeatedCalls = 3;

/** So often in a row the model may write nothing but unreadable or cut calls and be told so, before the run is given up. */
const maxCorrections = 2;

/** An answer shorter than this is of no use: a budget that buys less is used up. Tokens. */
const leastUsefulAnswer = 16;

/** Why no further step may begin, from what is known before it; null when it may. */
export const stopBeforeStep = (input: {
  step: number;
  limits: AgentLimits;
  now: Date;
  spent: UsdUnits;
}): RunErrorCode | null => {
  if (input.now >= input.limits.deadline) return "deadline_exceeded";
  if (input.step >= input.limits.maxSteps) return "step_limit";
  const { maxCostUsd } = input.limits;
  if (maxCostUsd !== undefined && input.spent >= usdToUnits(maxCostUsd)) return "budget_exceeded";
  return null;
};

/**
 * How many tokens the model may write so that the next call stays within the budget, given what it costs to read the conversation.
 * Null: no bound. 0: the budget does not buy another useful answer.
 */
export const affordableOutput = (input: {
  limits: AgentLimits;
  price: ModelPrice | null;
  spent: UsdUnits;
  inputTokens: number;
}): number | null => {
  const { maxCostUsd } = input.limits;
  if (maxCostUsd === undefined || input.price === null) return null;
  const rates = ratesFor(input.price, input.inputTokens);
  const left = usdToUnits(maxCostUsd) - input.spent - BigInt(input.inputTokens) * perToken(rates.input);
  const each = perToken(rates.output);
  if (each === 0n) return left >= 0n ? null : 0;
  const tokens = left / each;
  return tokens < BigInt(leastUsefulAnswer) ? 0 : Number(tokens);
};

/** The answers since the user last said something, newest first. */
const recentAnswers = (history: readonly AgentMessage[]): AssistantMessage[] => {
  const sinceUser = history.slice(history.findLastIndex((message) => message.role === "user") + 1);
  return sinceUser.flatMap((message) => (message.role === "assistant" ? [message] : [])).toReversed();
};

const runLength = (answers: readonly AssistantMessage[], belongs: (answer: AssistantMessage) => boolean): number => {
  const end = answers.findIndex((answer) => !belongs(answer));
  return end === -1 ? answers.length : end;
};

/** The calls of an answer as one text, whatever their order. */
const signature = (answer: AssistantMessage): string =>
  answer.tool_calls
    .map((call) => `${call.name} ${canonical(call.arguments)}`)
    .toSorted()
    .join("\n");

const calls = (answer: AssistantMessage): boolean => answer.tool_calls.length > 0;

/** Arguments that could not be read keep their raw text. */
const isUnreadable = (answer: AssistantMessage): boolean =>
  calls(answer) && answer.tool_calls.every((call) => typeof call.arguments === "string");

const isCut = (answer: AssistantMessage): boolean => calls(answer) && answer.status === "interrupted";

/** In how many steps in a row, up to the end of the history, the model made exactly the same calls. */
const repetitions = (answers: readonly AssistantMessage[]): number => {
  const [last] = answers;
  if (!last || !calls(last)) return 0;
  const same = signature(last);
  return runLength(answers, (answer) => calls(answer) && signature(answer) === same);
};

export interface Refusal {
  /** The result of each call, for the model. */
  toModel: string;
  /** Why the run ends with this step; null: the model may correct itself. */
  code: RunErrorCode | null;
}

/**
 * Why none of the calls of the newest answer may run; null when they may. Read from the conversation and not counted beside it, so that
 * it survives a change of worker.
 * @param history ends with that answer
 */
export const refusalOf = (
  history: readonly AgentMessage[],
  finish: FinishReason,
  maxRepeatedCalls: number,
): Refusal | null => {
  const answers = recentAnswers(history);
  if (finish === "length" && answers[0] && calls(answers[0])) {
    return {
      toModel: "Not run: the answer was cut by the output limit before it was complete. Make a smaller call.",
      code: runLength(answers, isCut) > maxCorrections ? "output_truncated" : null,
    };
  }
  if (runLength(answers, isUnreadable) > maxCorrections) {
    return { toModel: "Not run: the arguments could not be read, once more.", code: "model_malformed" };
  }
  const repeated = repetitions(answers);
  if (repeated < maxRepeatedCalls) return null;
  return { toModel: `Not run: the same call ${repeated} times in a row.`, code: "repeated_tool_call" };
};
