import { noUsage } from "@cortex/contracts";
import { ModelError } from "../../errors.ts";
import { textOf } from "../../messages.ts";
import type { Model, ModelEvent, ModelRequest } from "../../model.ts";
import { createCatalogue, type KnownModel } from "../../models/catalogue.ts";

export type Random = () => number;

/** The same numbers for the same seed (mulberry32). */
export const randomFrom = (seed: number): Random => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

const known = (name: string, window: number): KnownModel => ({
  name,
  aliases: [],
  context_window: window,
  max_output_tokens: Math.floor(window / 5),
  abilities: { images: false, reasoning: false, tools: "native", prompt_cache: "none" },
  prices: [{ valid_from: "2025-01-01", input: "1", output: "1" }],
});

/** Windows so small that a conversation of a few steps outgrows them. */
export const smallModels = createCatalogue([known("small", 3_000), known("smaller", 2_000), known("large", 20_000)]);

const text = (words: string): ModelEvent => ({ type: "text", text: words });

function* ending(reason: "stop" | "length" | "tool_calls"): Generator<ModelEvent, void, void> {
  yield { type: "usage", usage: { ...noUsage, input_tokens: 100, output_tokens: 10 } };
  yield { type: "finish", reason };
}

/** Tools by how often they are called. */
const names = ["act", "act", "act", "look", "look", "look", "look", "pay", "mail", "web", "complete", "nonsense"];

const isTooLong = (request: ModelRequest): boolean =>
  JSON.stringify(request.messages).length / 4 > (smallModels.find(request.model)?.context_window ?? Infinity) * 1.15;

export const isForSummary = ({ instructions }: ModelRequest): boolean =>
  instructions.startsWith("You write the summary");

function* summaryOf(random: Random): Generator<ModelEvent, void, void> {
  if (random() < 0.2) throw new ModelError("model_upstream", { phase: "request" });
  yield text(`So far: ${"s".repeat(random() * 100)}`);
  yield* ending("stop");
}

function* answerOf(random: Random, nextNumber: () => number): Generator<ModelEvent, void, void> {
  const luck = random();
  if (luck < 0.04) throw new ModelError("model_upstream", { phase: "request", status: 500 });
  if (luck < 0.07) throw new ModelError("model_rate_limited", { phase: "request", status: 429, retryAfterMs: 60_000 });
  if (luck < 0.09) throw new ModelError("context_overflow", { phase: "request", status: 400 });
  if (luck < 0.12) {
    yield text("half an");
    throw new ModelError("model_stream_broken", { phase: "answer" });
  }
  if (luck < 0.2) {
    yield text(`a part ${"p".repeat(random() * 400)}`);
    yield* ending("length");
    return;
  }
  if (luck < 0.24) {
    yield text(`It is ${nextNumber()}.`);
    yield* ending("stop");
    return;
  }
  if (luck < 0.26) {
    yield { type: "tool_call", index: 0, id: "cut", name: "act", arguments: '{"n":' };
    yield* ending("length");
    return;
  }
  if (random() < 0.5) yield text(`thinking aloud ${"t".repeat(random() * 200)}`);
  const calls = 1 + Math.floor(random() * 3);
  for (let index = 0; index < calls; index += 1) {
    const name = names[Math.floor(random() * names.length)] ?? "look";
    const id = random() < 0.3 ? `call_${index}` : null;
    const args = random() < 0.05 ? '{"n": oops' : JSON.stringify({ n: nextNumber() });
    yield { type: "tool_call", index, id, name, arguments: args };
  }
  yield* ending("tool_calls");
}

/** A model that does anything, good or bad. @param look sees each request */
export const wildModel = (random: Random, look: (request: ModelRequest) => void): Model => {
  let number = 0;
  return {
    name: "wild",
    stream: async function* (request) {
      look(request);
      if (isForSummary(request)) return yield* summaryOf(random);
      if (isTooLong(request)) throw new ModelError("context_overflow", { phase: "request", status: 400 });
      yield* answerOf(random, () => (number += 1));
    },
  };
};

/** What is wrong with a conversation that a provider gets. */
export const flawsOf = ({ messages }: ModelRequest): string[] => {
  const flaws: string[] = [];
  const ids = new Set<string>();
  for (const [index, message] of messages.entries()) {
    if (message.role !== "assistant") continue;
    for (const [nth, { id }] of message.tool_calls.entries()) {
      const result = messages[index + 1 + nth];
      if (ids.has(id)) flaws.push(`the id ${id} stands twice`);
      if (result?.role !== "tool" || result.tool_call_id !== id) flaws.push(`the call ${id} has no result`);
      ids.add(id);
    }
    if (messages[index + 1]?.role === "assistant") flaws.push("two answers side by side");
    if (message.content.length === 0 && message.tool_calls.length === 0) flaws.push("an empty answer");
  }
  if (messages.at(-1)?.role === "assistant") flaws.push("an answer stands last");
  if (!messages.some((message) => textOf(message.content).includes("user 0 says"))) flaws.push("the task is gone");
  return flaws;
};
