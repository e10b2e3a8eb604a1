import type { RunErrorCode, ToolCallRequest } from "@cortex/contracts";
import type { AgentLimits } from "./agent.ts";
import { partsAtEnd } from "./context/continuation.ts";
import type { AgentMessage, AssistantMessage } from "./messages.ts";
import { type ModelPrice, perToken, ratesFor } from "./models/catalogue.ts";
import { type UsdUnits, usdToUnits } from "./money.ts";
import { canonical } from "./tool-arguments.ts";

/** Three times the same is a loop; twice may be a retry that makes sense. */
const defaultMaxRepeatedCalls = 3;

/** So often an answer of words is gone on with. With 16,000 tokens an answer, a book. */
const defaultMaxContinuations = 8;

/** So often in a row the model may write nothing but unreadable or cut calls and be told so, before the run is given up. */
const maxCorrections = 2;

/** So often in a row it may write nothing but calls of no tool, or with arguments that do not fit. More than above: it reads what is wrong, and may come nearer. */
const maxMisfits = 4;

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

/** Longer rounds than this are not looked for. Steps. */
const longestRound = 4;

/** How many steps make up a round that the model has gone through `rounds` times now, with exactly the same calls; null: it goes in no circle. Answers that only wait for something are none; the limits of steps, time and money end those. */
const roundLength = (
  answers: readonly AssistantMessage[],
  rounds: number,
  polls: (call: ToolCallRequest) => boolean,
): number | null => {
  const acts = (answer: AssistantMessage) => calls(answer) && !answer.tool_calls.every(polls);
  const calling = answers.slice(0, Math.min(runLength(answers, acts), longestRound * rounds));
  const signatures = calling.map(signature);
  for (let length = 1; length * rounds <= signatures.length; length += 1) {
    const newest = signatures.slice(0, length * rounds);
    if (newest.every((one, index) => one === newest[index % length])) return length;
  }
  return null;
};

export interface Refusal {
  /** The result of each call, for the model. */
  toModel: string;
  /** Why the run ends with this step; null: the model may correct itself. */
  code: RunErrorCode | null;
}

export interface RefusalInput {
  /** Ends with the newest answer; one that is `interrupted` was cut by the output limit. */
  history: readonly AgentMessage[];
  limits: AgentLimits;
  /** Is there nothing wrong with the call itself, with its tool and its arguments? */
  isSound: (call: ToolCallRequest) => boolean;
  /** Does the call look at something that goes on by itself? */
  polls: (call: ToolCallRequest) => boolean;
}

/**
 * Why none of the calls of the newest answer may run; null when they may. Read from the conversation and not counted beside it, so that
 * it survives a change of worker.
 */
export const refusalOf = ({ history, limits, isSound, polls }: RefusalInput): Refusal | null => {
  const answers = recentAnswers(history);
  const rounds = limits.maxRepeatedCalls ?? defaultMaxRepeatedCalls;
  if (answers[0] && isCut(answers[0])) {
    return {
      toModel: "Not run: the answer was cut by the output limit before it was complete. Make a smaller call.",
      code: runLength(answers, isCut) > maxCorrections ? "output_truncated" : null,
    };
  }
  if (runLength(answers, isUnreadable) > maxCorrections) {
    return { toModel: "Not run: the arguments could not be read, once more.", code: "model_malformed" };
  }
  const isUseless = (answer: AssistantMessage) => calls(answer) && !answer.tool_calls.some(isSound);
  if (runLength(answers, isUseless) > maxMisfits) {
    return { toModel: "Not run: no call fits a tool, once more.", code: "model_malformed" };
  }
  const length = roundLength(answers, rounds, polls);
  if (length === null) return null;
  const what = length === 1 ? "call" : `${length} steps`;
  return { toModel: `Not run: the same ${what} ${rounds} times in a row.`, code: "repeated_tool_call" };
};

/**
 * What an answer of words means that the output limit has cut: null, it is gone on with.
 * @param history ends with that answer
 * @param boundByBudget it was the budget that set the limit
 */
export const stopAfterCut = (
  history: readonly AgentMessage[],
  limits: AgentLimits,
  boundByBudget: boolean,
): RunErrorCode | null => {
  if (boundByBudget) return "budget_exceeded";
  return partsAtEnd(history) > (limits.maxContinuations ?? defaultMaxContinuations) ? "output_truncated" : null;
};
