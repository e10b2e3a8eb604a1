import type { Usage } from "@cortex/contracts";
import type { OpenAI } from "openai";
import { ModelError } from "../errors.ts";
import type { FinishReason, ModelEvent } from "../model.ts";

type Chunk = OpenAI.Chat.Completions.ChatCompletionChunk;

/** What providers add to a delta and the types of the SDK do not know. */
interface ExtraDelta {
  /** DeepSeek, LiteLLM. */
  reasoning_content?: unknown;
  /** OpenRouter, vLLM. */
  reasoning?: unknown;
}

interface ExtraUsage {
  /** Anthropic behind LiteLLM. */
  cache_creation_input_tokens?: unknown;
}

const unreadable = (detail: string): ModelError => new ModelError("model_malformed", { phase: "answer", detail });

/** Above every window there is; a count beyond it is a slip, and must not become somebody's bill. */
const maxCount = 100_000_000;

const isCount = (value: unknown): boolean =>
  Number.isSafeInteger(value) && Number(value) >= 0 && Number(value) <= maxCount;

const count = (value: unknown): number => (isCount(value) ? Number(value) : 0);

/**
 * Providers count cached tokens inside the prompt and reasoning inside the completion; a broken count must not become a negative price.
 * Null where nothing was counted, so that it is estimated: gateways that do not count say 0.
 */
const usageOf = (usage: NonNullable<Chunk["usage"]>): Usage | null => {
  const extra: ExtraUsage = usage as ExtraUsage;
  const input_tokens = count(usage.prompt_tokens);
  const output_tokens = count(usage.completion_tokens);
  if (input_tokens === 0 || !isCount(usage.completion_tokens)) return null;
  const cached_input_tokens = Math.min(input_tokens, count(usage.prompt_tokens_details?.cached_tokens));
  return {
    input_tokens,
    cached_input_tokens,
    cache_write_tokens: Math.min(input_tokens - cached_input_tokens, count(extra.cache_creation_input_tokens)),
    output_tokens,
    reasoning_tokens: Math.min(output_tokens, count(usage.completion_tokens_details?.reasoning_tokens)),
    estimated: false,
  };
};

const finishOf = (reason: string): FinishReason => {
  switch (reason) {
    case "length":
    case "max_tokens":
      return "length";
    case "content_filter":
      return "filtered";
    case "tool_calls":
    case "function_call":
      return "tool_calls";
    default:
      // `stop`, and the names that providers invent: the answer is whole, and that is all it says.
      return "stop";
  }
};

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";

/**
 * Folds one chunk into `events`, which the caller empties: no allocation for a chunk that says nothing, one event for an ordinary one.
 * @throws ModelError `model_malformed` for a chunk of another shape
 */
export const readChunk = (chunk: Chunk, events: ModelEvent[]): void => {
  // The SDK passes on whatever parsed as JSON.
  if (chunk === null || typeof chunk !== "object") throw unreadable("a chunk is no object");
  const usage = chunk.usage ? usageOf(chunk.usage) : null;
  if (usage) events.push({ type: "usage", usage });
  const choice = chunk.choices?.[0];
  if (!choice) return;

  const delta: (typeof choice.delta & ExtraDelta) | null | undefined = choice.delta;
  if (delta) {
    const reasoning = delta.reasoning_content ?? delta.reasoning;
    if (isText(reasoning)) events.push({ type: "reasoning", text: reasoning });
    const text: unknown = delta.content ?? delta.refusal;
    if (isText(text)) events.push({ type: "text", text });
    else if (text !== null && text !== undefined && text !== "") throw unreadable("content is no text");
    if (delta.tool_calls) readToolCalls(delta.tool_calls, events);
  }
  if (isText(choice.finish_reason)) events.push({ type: "finish", reason: finishOf(choice.finish_reason) });
};

const readToolCalls = (pieces: NonNullable<Chunk["choices"][0]["delta"]["tool_calls"]>, events: ModelEvent[]): void => {
  if (!Array.isArray(pieces)) throw unreadable("tool_calls is no list");
  for (const [position, piece] of pieces.entries()) {
    if (piece === null || typeof piece !== "object") throw unreadable("a piece of a tool call is no object");
    const args: unknown = piece.function?.arguments ?? "";
    if (typeof args !== "string") throw unreadable("tool call arguments are no text");
    events.push({
      type: "tool_call",
      index: Number.isSafeInteger(piece.index) ? piece.index : position,
      id: isText(piece.id) ? piece.id : null,
      name: isText(piece.function?.name) ? piece.function.name : null,
      arguments: args,
    });
  }
};
