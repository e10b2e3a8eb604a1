import type { AgentMessage } from "../messages.ts";

/** Where the turns of a well-formed history begin. A turn is a message and, if it calls tools, their results: what is never split. */
export const turnStarts = (history: readonly AgentMessage[]): number[] =>
  history.flatMap((message, index) => (message.role === "tool" ? [] : [index]));

/**
 * Where the newest turns begin that together have at most so many tokens; at least the last one is among them.
 * @param sizes tokens of each message
 */
export const recentFrom = (history: readonly AgentMessage[], sizes: readonly number[], tokens: number): number => {
  const starts = turnStarts(history);
  let from = starts.at(-1) ?? 0;
  let held = 0;
  for (let index = history.length - 1; index >= 0; index -= 1) {
    held += sizes[index] ?? 0;
    if (held > tokens) break;
    if (history[index]?.role !== "tool") from = index;
  }
  return from;
};
