import type { Usage } from "@cortex/contracts";
import { noUsage } from "@cortex/contracts";
import type { AgentMessage } from "../messages.ts";
import type { ModelRequest } from "../model.ts";

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

const tokensOf = (message: AgentMessage): number => {
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

/** What a request would cost to read, in tokens. Linear in the conversation: not for every chunk. */
export const estimateInput = (request: ModelRequest): number =>
  request.messages.reduce((sum, message) => sum + tokensOf(message), 0) +
  estimateTokens(request.instructions) +
  (request.tools.length === 0 ? 0 : estimateTokens(JSON.stringify(request.tools)));

/** The usage of an answer whose provider sent none. */
export const estimateUsage = (request: ModelRequest, written: { output: string; reasoning: string }): Usage => {
  const reasoning = estimateTokens(written.reasoning);
  return {
    ...noUsage,
    input_tokens: estimateInput(request),
    output_tokens: estimateTokens(written.output) + reasoning,
    reasoning_tokens: reasoning,
    estimated: true,
  };
};
