import type { Usage } from "@cortex/contracts";
import { noUsage } from "@cortex/contracts";
import type { AgentMessage } from "../messages.ts";
import type { ModelRequest, ToolDeclaration } from "../model.ts";

/**
 * Four bytes a token: close for English and code, high for other scripts. Used where a provider gave no count: for broken and
 * aborted answers, and before a call. Marked as `estimated` wherever it is shown.
 */
const bytesPerToken = 4;

/** Role, separators and ids of one message. */
const tokensPerMessage = 4;

/** A picture of ordinary size, as the large providers count it. */
const tokensPerImage = 1_000;

const estimateTokens = (text: string): number => Math.ceil(Buffer.byteLength(text) / bytesPerToken);

/** Messages never change, and are counted at each step. */
const counted = new WeakMap<AgentMessage, number>();

/** What a message would cost to read, in tokens. */
export const tokensOf = (message: AgentMessage): number => {
  const known = counted.get(message);
  if (known !== undefined) return known;
  const tokens = countTokens(message);
  counted.set(message, tokens);
  return tokens;
};

const countTokens = (message: AgentMessage): number => {
  let tokens = tokensPerMessage;
  for (const part of message.content) {
    if (part.type === "text") tokens += estimateTokens(part.text);
    else tokens += part.type === "image" ? tokensPerImage : estimateTokens(part.path);
  }
  if (message.role === "assistant") {
    for (const call of message.tool_calls) tokens += estimateTokens(call.name + JSON.stringify(call.arguments));
  }
  return tokens;
};

/** Tools stay the same over many steps, and runs. */
const countedTools = new WeakMap<ToolDeclaration, number>();

/** What the model reads of a tool; the object may hold more. */
const tokensOfTool = (tool: ToolDeclaration): number => {
  const known = countedTools.get(tool);
  if (known !== undefined) return known;
  const tokens = estimateTokens(tool.name + tool.description + JSON.stringify(tool.parameters));
  countedTools.set(tool, tokens);
  return tokens;
};

/** What comes with each request of a run, beside the conversation, in tokens. */
export const fixedTokens = (request: Pick<ModelRequest, "instructions" | "tools">): number =>
  estimateTokens(request.instructions) + request.tools.reduce((sum, tool) => sum + tokensOfTool(tool), 0);

/** What a request would cost to read, in tokens. Linear in the conversation: not for every chunk. */
export const estimateInput = (request: ModelRequest): number =>
  request.messages.reduce((sum, message) => sum + tokensOf(message), 0) + fixedTokens(request);

/** The usage of an answer whose provider sent none. */
export const estimateUsage = (inputTokens: number, written: { output: string; reasoning: string }): Usage => {
  const reasoning = estimateTokens(written.reasoning);
  return {
    ...noUsage,
    input_tokens: inputTokens,
    output_tokens: estimateTokens(written.output) + reasoning,
    reasoning_tokens: reasoning,
    estimated: true,
  };
};

/** Estimates of a request's size that learn from the sizes that the endpoint has counted, because every model cuts text its own way. */
export interface InputEstimate {
  of(request: ModelRequest): number;
  /** The endpoint has counted this request. */
  learn(request: ModelRequest, inputTokens: number): void;
}

/** A count outside of this share of our estimate is no measure: an endpoint that adds a prompt of its own, or counts nothing. */
const credible = { least: 0.2, most: 5 };

/** Of one run: the tools and the prompt, which make up most of a short conversation, are the same in each of its steps. */
export const startInputEstimate = (): InputEstimate => {
  let share = 1;
  return {
    of: (request) => Math.ceil(estimateInput(request) * share),
    learn: (request, inputTokens) => {
      const counted = inputTokens / estimateInput(request);
      if (counted >= credible.least && counted <= credible.most) share = counted;
    },
  };
};
