import type { RunErrorCode } from "@cortex/contracts";
import { expect, test } from "vitest";
import type { AgentInput } from "./agent.ts";
import { ModelError, type ModelErrorFacts } from "./errors.ts";
import { maySurvive } from "./fallback.ts";
import type { Model, ModelEvent } from "./model.ts";
import type { AskedModel } from "./models/asked-model.ts";
import { createCatalogue, type KnownModel } from "./models/catalogue.ts";
import { anInput, ofType, play, shape } from "./testing/run.ts";
import { calls, says, type Turn, usage } from "./testing/scripted-model.ts";
import { tool as calculator } from "./tools/calculator.ts";

const known = (name: string, input: string, contextWindow = 100_000): KnownModel => ({
  name,
  aliases: [],
  context_window: contextWindow,
  max_output_tokens: 1_000,
  abilities: { images: false, reasoning: false, tools: "native", prompt_cache: "none" },
  prices: [{ valid_from: "2025-01-01", input, output: input }],
});

const catalogue = createCatalogue([known("first", "1"), known("second", "2"), known("wide", "3", 1_000_000)]);

const fails = (code: RunErrorCode, facts: Partial<ModelErrorFacts> = {}, before: readonly ModelEvent[] = []): Turn =>
  function* () {
    yield* before;
    throw new ModelError(code, { phase: before.length > 0 ? "answer" : "request", ...facts });
  };

/** One script per model; each plays its turns in order and repeats the last one. */
const modelsThat = (turns: Record<string, Turn[]>) => {
  const asked: string[] = [];
  return {
    name: "scripted",
    asked,
    stream: async function* (
      request: Parameters<Extract<Turn, (...args: never[]) => unknown>>[0],
      signal: AbortSignal,
    ) {
      const own = turns[request.model] ?? [];
      const before = asked.filter((name) => name === request.model).length;
      asked.push(request.model);
      const turn = own[Math.min(before, own.length - 1)];
      if (turn) yield* typeof turn === "function" ? turn(request, signal) : turn;
    },
  };
};

const text = (words: string): ModelEvent => ({ type: "text", text: words });
const input = (overrides = {}) => anInput({ model: "first", fallbackModels: ["second", "wide"], ...overrides });
const deps = (turns: Record<string, Turn[]>) => ({ model: modelsThat(turns), tools: [calculator], catalogue });

test("the same step is asked of the next model: what was shown is taken back, and the step says who answered", async () => {
  const played = deps({ first: [fails("model_stream_broken", {}, [text("Hel")])], second: [says("Hello")] });
  const { events, outcome } = await play({ ...played, answerRetriesMs: [] }, input());
  expect(shape(events)).toEqual([
    "step.started",
    "message.delta",
    "message.discarded",
    "message.delta",
    "model.completed",
    "step.completed",
  ]);
  expect(outcome.kind).toBe("completed");
  expect(ofType(events, "step.started")[0]?.model).toBe("first");
  expect(ofType(events, "model.completed")[0]).toMatchObject({ model: "second", message: { text: "Hello" } });
  expect(ofType(events, "step.completed")[0]?.model).toBe("second");
});

test("each call costs what its own model costs", async () => {
  const counted: ModelEvent[] = [text("Hel"), { type: "usage", usage: usage(100, 10) }];
  const played = deps({
    first: [fails("model_stream_broken", {}, counted)],
    second: [says("Hello", usage(100, 10))],
  });
  const { events, outcome } = await play({ ...played, answerRetriesMs: [] }, input());
  // (100 + 10) × 1 and (100 + 10) × 2 USD for a million.
  expect(outcome.cost_usd).toBe("0.00033");
  expect(ofType(events, "model.completed")[0]).toMatchObject({ cost_usd: "0.00033", priced: true });
});

test("who answered is asked first in the next step, and the others before the run is given up", async () => {
  const call = calls({ name: "calculator", args: { expression: "1+1" } });
  const { model, ...rest } = deps({
    first: [fails("model_upstream"), says("back again")],
    second: [call, fails("model_auth")],
  });
  const { outcome } = await play({ model, ...rest }, input());
  expect(outcome.kind).toBe("completed");
  expect(model.asked).toEqual(["first", "second", "second", "first"]);
});

test("when no model answers, the first error is the run's", async () => {
  const { model, ...rest } = deps({
    first: [fails("model_auth")],
    second: [fails("model_upstream")],
    wide: [fails("model_stream_broken", {}, [text("half")])],
  });
  const { outcome, events } = await play({ model, ...rest, answerRetriesMs: [] }, input());
  expect(outcome).toMatchObject({ kind: "failed", code: "model_auth", interrupted: { text: "half" } });
  expect(ofType(events, "message.discarded")).toHaveLength(0);
  expect(model.asked).toEqual(["first", "second", "wide"]);
});

test("a limit asks the others before the run waits, and waits for the one that is back first", async () => {
  const limited = (ms: number) => fails("model_rate_limited", { status: 429, retryAfterMs: ms });
  const saved = await play(deps({ first: [limited(60_000)], second: [says("Hello")] }), input());
  expect(saved.outcome.kind).toBe("completed");
  const waits = await play(
    {
      ...deps({
        first: [limited(60_000)],
        second: [limited(20_000)],
        wide: [fails("model_stream_broken", {}, [text("half")])],
      }),
      answerRetriesMs: [],
    },
    input(),
  );
  expect(waits.outcome).toMatchObject({ kind: "waiting", retryAfterMs: 20_000 });
  // Nothing of the step may stay: it begins anew after the wait.
  const shown = ofType(waits.events, "message.delta").map((event) => event.message_id);
  expect(ofType(waits.events, "message.discarded").map((event) => event.message_id)).toEqual(shown);
});

test("a conversation that is too long goes to a wider model only", async () => {
  const { model, ...rest } = deps({ first: [fails("context_overflow")], second: [says("no")], wide: [says("yes")] });
  const { outcome } = await play({ model, ...rest }, input());
  expect(outcome.kind).toBe("completed");
  expect(model.asked).toEqual(["first", "wide"]);
});

test("a refusal, thoughts without an end and our own faults are not taken elsewhere", async () => {
  for (const code of ["model_refused", "output_truncated", "internal"] as const) {
    const { model, ...rest } = deps({ first: [fails(code)], second: [says("no")] });
    expect((await play({ model, ...rest }, input())).outcome).toMatchObject({ kind: "failed", code });
    expect(model.asked).toEqual(["first"]);
  }
});

test("the budget is one: a fallback that it does not buy, or whose price nobody knows, is not asked", async () => {
  const { model, ...rest } = deps({ first: [fails("model_upstream")], second: [says("no")], strange: [says("no")] });
  // Buys the prompt (some tokens) and an answer of the first model, but not at twice the price.
  const tight = { limits: { ...anInput().limits, maxCostUsd: "0.00009" }, fallbackModels: ["strange", "second"] };
  const prompt = "x".repeat(150);
  const { outcome } = await play({ model, ...rest, tools: [] }, input({ ...tight, instructions: prompt }));
  expect(outcome).toMatchObject({ kind: "failed", code: "model_upstream" });
  expect(model.asked).toEqual(["first"]);
});

test("no model is asked to write more than it can, whatever agent and budget allow", async () => {
  const sent: (number | undefined)[] = [];
  const model: Model = {
    name: "scripted",
    stream: async function* (request) {
      sent.push(request.parameters.maxOutputTokens);
      if (request.model === "first") throw new ModelError("model_upstream", { phase: "request" });
      yield* says("Hello");
    },
  };
  const rich = { ...anInput().limits, maxCostUsd: "1" };
  const ask = (overrides: Partial<AgentInput>) => play({ model, tools: [], catalogue }, input(overrides));
  await ask({ parameters: { maxOutputTokens: 5_000 } });
  await ask({ parameters: { maxOutputTokens: 500 }, limits: rich });
  // A dollar buys far more than an answer can have: then it says nothing about the answer.
  await ask({ limits: rich });
  expect(sent).toEqual([1_000, 1_000, 500, 500, undefined, undefined]);
});

test("how hard to think is not said to a fallback that cannot", async () => {
  const sent: string[] = [];
  const model: Model = {
    name: "scripted",
    stream: async function* ({ model: name, parameters }) {
      sent.push(`${name} ${parameters.reasoningEffort} ${parameters.temperature}`);
      if (name !== "stranger") throw new ModelError("model_upstream", { phase: "request" });
      yield* says("Hello");
    },
  };
  const parameters = { reasoningEffort: "low" as const, temperature: 0.5 };
  await play({ model, tools: [], catalogue }, input({ parameters, fallbackModels: ["second", "stranger"] }));
  expect(sent).toEqual(["first low 0.5", "second undefined 0.5", "stranger low 0.5"]);
});

test("an abort ends it; no further model is asked", async () => {
  const stop = new AbortController();
  const stops: Turn = function* () {
    yield text("Hel");
    stop.abort("enough");
    throw new ModelError("model_upstream", { phase: "answer" });
  };
  const { model, ...rest } = deps({ first: [stops], second: [says("no")] });
  const { outcome } = await play({ model, ...rest }, input(), { signal: stop.signal });
  expect(outcome).toMatchObject({ kind: "aborted", reason: "enough" });
  expect(model.asked).toEqual(["first"]);
});

test("strangers are never taken for wider ones", () => {
  const error = new ModelError("context_overflow", { phase: "request" });
  const asked = (name: string): AskedModel => ({ name, known: catalogue.find(name), price: null });
  expect(maySurvive(error, asked("first"), asked("wide"))).toBe(true);
  expect(maySurvive(error, asked("wide"), asked("first"))).toBe(false);
  expect(maySurvive(error, asked("first"), asked("nobody"))).toBe(false);
  expect(maySurvive(error, asked("nobody"), asked("wide"))).toBe(false);
});
