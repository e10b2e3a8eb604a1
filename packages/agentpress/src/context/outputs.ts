import { type AgentMessage, textContent, textOf, type ToolMessage } from "../messages.ts";
import { shorten } from "../storable.ts";
import { shares } from "./room.ts";
import { tokensOf } from "./tokens.ts";
import { recentFrom, turnStarts } from "./turns.ts";

/** What stands in the place of an old result. It says how to get it back, and how much that would be. */
const stubOf = (message: ToolMessage): ToolMessage => {
  const { length } = textOf(message.content);
  const pictures = message.content.filter((part) => part.type === "image").length;
  const what = pictures === 0 ? `${length} characters` : `${length} characters and ${pictures} pictures`;
  return {
    ...message,
    content: textContent(
      `[${what} left out to save room. expand_message with id "${message.tool_call_id}" shows them.]`,
    ),
  };
};

/** Made at each step, of the same messages. */
const made = new WeakMap<ToolMessage, ToolMessage>();

/** The smaller of both: a stub must not be longer than what it stands for. */
const lighter = (message: ToolMessage): ToolMessage => {
  const known = made.get(message);
  if (known) return known;
  const stub = stubOf(message);
  const light = tokensOf(stub) < tokensOf(message) ? stub : message;
  made.set(message, light);
  made.set(light, light);
  return light;
};

/** A result with its middle left out. Pictures stay. */
const cut = (message: ToolMessage, tokens: number): ToolMessage => {
  if (tokensOf(message) <= tokens) return message;
  const text = textOf(message.content);
  const size = tokensOf({ ...message, content: textContent(text) });
  if (size <= tokens) return message;
  const hint = `\n[expand_message with id "${message.tool_call_id}" shows all of it, in parts.]`;
  const short = shorten(text, Math.max(100, Math.floor((text.length * tokens) / size) - hint.length)) + hint;
  if (short.length >= text.length) return message;
  return { ...message, content: [...textContent(short), ...message.content.filter((part) => part.type === "image")] };
};

/**
 * The conversation as it is sent: old results are stubs, and none is longer than its share. Nothing is stored of that: it follows from the
 * messages alone, in the order in which they came, so that every attempt, and every later run with the same model, sends the same.
 *
 * Stubs are made in blocks. Walking from the first message on, whenever the conversation has outgrown its share, all results but the newest
 * become stubs, and no more until a whole block of new messages has come: between two blocks, what is sent only grows at its end.
 * @param tokens the room for the conversation alone
 */
export const withOldOutputsLeftOut = (history: readonly AgentMessage[], tokens: number): AgentMessage[] => {
  const sent: AgentMessage[] = [];
  const sizes: number[] = [];
  let total = 0;
  let stubbed = 0;
  let floor = 0;
  for (const message of history) {
    const one = message.role === "tool" ? cut(message, tokens * shares.oneOutput) : message;
    const size = tokensOf(one);
    sent.push(one);
    sizes.push(size);
    total += size;
    if (total <= Math.max(tokens * shares.outputsFrom, floor + tokens * shares.outputsBlock)) continue;
    const end = recentFrom(sent, sizes, tokens * shares.keptOutputs);
    for (; stubbed < end; stubbed += 1) {
      const old = sent[stubbed];
      if (old?.role !== "tool") continue;
      const stub = lighter(old);
      total += tokensOf(stub) - (sizes[stubbed] ?? 0);
      sent[stubbed] = stub;
      sizes[stubbed] = tokensOf(stub);
    }
    floor = total;
  }
  return sent;
};

/** The last resort: all results but those of the last turn are stubs, and those share what room is left. */
export const withLeastOutputs = (history: readonly AgentMessage[], tokens: number): AgentMessage[] => {
  const last = turnStarts(history).at(-1) ?? 0;
  const sent = history.map((message, index) => (message.role === "tool" && index < last ? lighter(message) : message));
  const newest = sent.slice(last).filter((message) => message.role === "tool");
  const others = sent.reduce(
    (sum, message) => sum + (newest.some((one) => one === message) ? 0 : tokensOf(message)),
    0,
  );
  const each = Math.max(0, (tokens * shares.summariseFrom - others) / Math.max(1, newest.length));
  return sent.map((message, index) => (message.role === "tool" && index >= last ? cut(message, each) : message));
};
