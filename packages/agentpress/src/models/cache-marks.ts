import type { OpenAI } from "openai";

type ChatMessage = OpenAI.Chat.Completions.ChatCompletionMessageParam;
type Part = OpenAI.Chat.Completions.ChatCompletionContentPart;

/** A part of content that may be the end of what a provider caches, as LiteLLM and OpenRouter take it (Anthropic's own form). */
export type MarkedPart = Part & { cache_control?: { type: "ephemeral" } };

/** Content as parts, whether marked or not: a mark must change nothing else of the message. */
const partsOf = (content: ChatMessage["content"]): Part[] => {
  if (content === undefined || content === null) return [];
  return typeof content === "string"
    ? [{ type: "text", text: content }]
    : content.flatMap((part) => (part.type === "refusal" ? [] : [part]));
};

const isMarkable = (part: Part): boolean => part.type !== "text" || part.text !== "";

const marked = (message: ChatMessage): ChatMessage => {
  const parts: MarkedPart[] = partsOf(message.content);
  const last = parts.findLastIndex(isMarkable);
  const content = parts.map((part, index) =>
    index === last ? { ...part, cache_control: { type: "ephemeral" } } : part,
  );
  // What our own messages are made of fits each role: results and prompts are text.
  return { ...message, content } as ChatMessage;
};

const asParts = (message: ChatMessage): ChatMessage =>
  message.role === "assistant" || partsOf(message.content).length === 0
    ? message
    : ({ ...message, content: partsOf(message.content) } as ChatMessage);

/**
 * Marks what the provider should cache: up to the prompt, which has the tools before it; up to the end, for the next step; and up to the end of the
 * step before, which the provider then finds even if it looks for no more than the marks. Three of the four that Anthropic allows.
 */
export const withCacheMarks = (messages: readonly ChatMessage[]): ChatMessage[] => {
  const mayBeMarked = (message: ChatMessage | undefined): boolean =>
    message !== undefined && message.role !== "assistant" && partsOf(message.content).some(isMarkable);
  const end = messages.findLastIndex(mayBeMarked);
  const lastAnswer = messages.findLastIndex((message) => message.role === "assistant");
  const before = lastAnswer === -1 ? -1 : messages.slice(0, lastAnswer).findLastIndex(mayBeMarked);
  const marks = new Set([messages[0]?.role === "system" ? 0 : -1, before, end]);
  return messages.map((message, index) => (marks.has(index) ? marked(message) : asParts(message)));
};
