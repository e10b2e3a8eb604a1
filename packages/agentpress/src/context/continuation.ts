import { type AgentMessage, type AssistantMessage, textContent, textOf, userMessage } from "../messages.ts";

/** Stands behind an answer that was never finished, for who reads it later. */
const interruptionNote = "[This answer was interrupted here.]";

/**
 * Asks for the rest of an answer. Never stored, and a message of the user, because not every provider goes on with an answer that stands last.
 * The demo model knows it by its first sentence.
 */
export const continuationNote =
  "[Your answer was cut by the output limit. Go on exactly where it stopped, with the next character: repeat nothing, and do not speak of the cut.]";

/** A part of an answer that the output limit has cut: words, which can be gone on with. A call cannot, it has to be made again. */
const isPart = (message: AgentMessage | undefined): message is AssistantMessage =>
  message?.role === "assistant" && message.status === "interrupted" && message.tool_calls.length === 0;

/** How many parts of an unfinished answer the conversation ends with. */
export const partsAtEnd = (history: readonly AgentMessage[]): number => {
  const other = history.findLastIndex((message) => !isPart(message));
  return history.length - 1 - other;
};

/** Parts are one text. Two whole answers, of which the user interrupted the first with a message that stands before it, are two paragraphs. */
const joined = (last: AssistantMessage, next: AssistantMessage): AssistantMessage => {
  const texts = [textOf(last.content), textOf(next.content)].filter((text) => text !== "");
  return { ...next, content: textContent(texts.join(isPart(last) ? "" : "\n\n")) };
};

const saysOnly = (message: AgentMessage | undefined): message is AssistantMessage =>
  message?.role === "assistant" && message.tool_calls.length === 0;

const marked = (message: AssistantMessage): AssistantMessage =>
  message.status === "complete" || message.content.length === 0
    ? message
    : { ...message, content: [...message.content, ...textContent(interruptionNote)] };

/**
 * The conversation as a model is asked with it: the parts of an answer are one answer, one that nobody finished is marked, and one that may be
 * gone on with is asked for. Two answers never stand side by side, which some providers refuse. The stored messages are never touched.
 */
export const asAsked = (history: readonly AgentMessage[]): AgentMessage[] => {
  const asked: AgentMessage[] = [];
  for (const message of history) {
    const last = asked.at(-1);
    if (message.role === "assistant" && saysOnly(last)) asked[asked.length - 1] = joined(last, message);
    else asked.push(message);
  }
  const unfinished = isPart(asked.at(-1));
  const noted = asked.map((message, index) =>
    message.role === "assistant" && !(unfinished && index === asked.length - 1) ? marked(message) : message,
  );
  return unfinished ? [...noted, userMessage(continuationNote)] : noted;
};
