import { eventually } from "@cortex/testing";
import { expect, test } from "vitest";
import { estimateInput } from "./context/tokens.ts";
import { ModelError } from "./errors.ts";
import type { ModelEvent } from "./model.ts";
import { anInput, ofType, oneTurn, play, shape } from "./testing/run.ts";
import { calls, says, scriptedModel, type Turn, untilAborted, usage } from "./testing/scripted-model.ts";

const breaks = (events: readonly ModelEvent[], error: unknown): Turn =>
  function* () {
    yield* events;
    throw error;
  };

const text = (words: string): ModelEvent => ({ type: "text", text: words });
const broken = new ModelError("model_stream_broken", { phase: "answer" });

test("an answer that broke off is given up and asked for again under a new id", async () => {
  const model = scriptedModel(breaks([text("Hel")], broken), says("Hello"));
  const { events, outcome } = await play({ model, tools: [] });
  expect(shape(events)).toEqual([
    "step.started",
    "message.delta",
    "message.discarded",
    "message.delta",
    "model.completed",
    "step.completed",
  ]);
  const [first, second] = ofType(events, "message.delta");
  expect(ofType(events, "message.discarded")).toEqual([
    { type: "message.discarded", message_id: first?.message_id, reason: "model_stream_broken" },
  ]);
  expect(second?.message_id).not.toBe(first?.message_id);
  expect(ofType(events, "model.completed")[0]?.message).toMatchObject({ id: second?.message_id, text: "Hello" });
  expect(outcome.kind).toBe("completed");
  // The broken answer was paid for, by our own estimate.
  expect(outcome.usage).toMatchObject({ estimated: true, output_tokens: 6 });
});

test("a stream that ends without a finish is broken, however whole it looks", async () => {
  const { outcome, events } = await play({ model: scriptedModel([text("All good.")]), tools: [] });
  expect(outcome).toMatchObject({ kind: "failed", code: "model_stream_broken", retryable: true });
  expect(outcome.kind === "failed" && outcome.interrupted).toMatchObject({ text: "All good.", status: "interrupted" });
  expect(ofType(events, "message.discarded")).toHaveLength(2);
  expect(ofType(events, "model.completed")).toHaveLength(0);
  expect(outcome.unreported.usage.output_tokens).toBeGreaterThan(0);
});

test("an empty answer is asked for three times", async () => {
  const model = scriptedModel([
    { type: "reasoning", text: "hm" },
    { type: "finish", reason: "stop" },
  ]);
  const { outcome, events } = await play({ model, tools: [] });
  expect(outcome).toMatchObject({ kind: "failed", code: "model_empty" });
  expect(model.requests).toHaveLength(3);
  expect(ofType(events, "message.discarded")).toHaveLength(2);
});

test("nothing was shown, so nothing is discarded", async () => {
  const model = scriptedModel([{ type: "finish", reason: "stop" }], says("there"));
  const { outcome, events } = await play({ model, tools: [] });
  expect(outcome.kind).toBe("completed");
  expect(ofType(events, "message.discarded")).toHaveLength(0);
});

test("failures that another try cannot help, or that were tried already, end the run at once", async () => {
  for (const error of [
    new ModelError("context_overflow", { phase: "answer" }),
    new ModelError("model_upstream", { phase: "request" }),
  ]) {
    const model = scriptedModel(breaks([], error));
    const { outcome } = await play({ model, tools: [] });
    expect(outcome).toMatchObject({ kind: "failed", code: error.code, interrupted: null });
    expect(model.requests).toHaveLength(1);
  }
});

test("a limit that cuts an answer takes it back, and says what it has cost", async () => {
  const limited = new ModelError("model_rate_limited", { phase: "answer", retryAfterMs: 7_000 });
  const model = scriptedModel(breaks([text("Once upon")], limited));
  const { events, outcome } = await play({ model, tools: [] });
  expect(shape(events)).toEqual(["step.started", "message.delta", "message.discarded"]);
  expect(outcome).toMatchObject({ kind: "waiting", code: "model_rate_limited", retryAfterMs: 7_000 });
  expect(outcome.unreported.usage).toMatchObject({ estimated: true, output_tokens: 3 });
  // It names the time of its end: asking before that would only be refused again.
  expect(model.requests).toHaveLength(1);
});

test("a run that was limited goes on with the step that it could not begin", async () => {
  const limited = new ModelError("model_rate_limited", { phase: "request" });
  const first = await play({
    model: scriptedModel(calls({ name: "nothing", args: {} }), breaks([], limited)),
    tools: [],
  });
  expect(first.outcome).toMatchObject({ kind: "waiting", retryAfterMs: null });
  expect(ofType(first.events, "step.completed")).toHaveLength(1);
  const second = await play({ model: scriptedModel(says("Here.")), tools: [] }, anInput({ firstStep: 1 }));
  expect(second.outcome.kind).toBe("completed");
  expect(ofType(second.events, "step.started")[0]?.step).toBe(1);
});

test("an exception of an adapter is our fault and says nothing of itself", async () => {
  const { outcome } = await play({ model: scriptedModel(breaks([], new TypeError("secret of ours"))), tools: [] });
  expect(outcome).toMatchObject({ kind: "failed", code: "internal" });
  expect(JSON.stringify(outcome)).not.toContain("secret");
});

test("an answer that the provider held back is a refusal", async () => {
  const { outcome } = await play({
    model: scriptedModel([text("I"), { type: "finish", reason: "filtered" }]),
    tools: [],
  });
  expect(outcome).toMatchObject({ kind: "failed", code: "model_refused", interrupted: { text: "I" } });
});

test("an answer longer than any model writes is given up", async () => {
  const big = text("x".repeat(1_500_000));
  const { outcome } = await play({
    model: scriptedModel([big, big, big, { type: "finish", reason: "stop" }]),
    tools: [],
  });
  expect(outcome).toMatchObject({ kind: "failed", code: "model_malformed" });
});

test("without usage the tokens are estimated and marked", async () => {
  const model = scriptedModel([text("12345678"), { type: "finish", reason: "stop" }]);
  const { events } = await play({ model, tools: [] });
  expect(ofType(events, "model.completed")[0]?.usage).toMatchObject({ estimated: true, output_tokens: 2 });
});

test("an abort hands back what was shown, and its reason", async () => {
  const stop = new AbortController();
  const model = scriptedModel(async function* (_, signal) {
    yield text("Once upon");
    await untilAborted(signal);
  });
  const { events, outcome } = await play({ model, tools: [] }, anInput(), {
    signal: stop.signal,
    onEvent: (event) => event.type === "message.delta" && stop.abort("stopped"),
  });
  expect(outcome).toMatchObject({
    kind: "aborted",
    reason: "stopped",
    aborted: ["model call"],
    unfinished: [],
    interrupted: { id: ofType(events, "message.delta")[0]?.message_id, text: "Once upon", status: "interrupted" },
  });
  expect(outcome.unreported.usage).toMatchObject({ estimated: true });
  expect(ofType(events, "step.completed")).toHaveLength(0);
});

test("a model that ignores the abort is left behind, and its connection is told to end", async () => {
  const stop = new AbortController();
  const deaf = Promise.withResolvers<void>();
  let left = false;
  const model = scriptedModel(async function* () {
    try {
      yield text("Once upon");
      await deaf.promise;
      yield text("a time");
    } finally {
      left = true;
    }
  });
  const startedAt = performance.now();
  const { events, outcome } = await play({ model, tools: [] }, anInput(), {
    signal: stop.signal,
    // Not while the event is held: the model is to be asked for more.
    onEvent: (event) => {
      if (event.type === "message.delta") void oneTurn().then(() => stop.abort("stopped"));
    },
  });
  expect(performance.now() - startedAt).toBeLessThan(3_000);
  expect(outcome).toMatchObject({ aborted: ["model call, left behind"], interrupted: { text: "Once upon" } });
  expect(ofType(events, "message.delta")).toHaveLength(1);
  deaf.resolve();
  await eventually(() => left);
});

test("a model that reacts is not said to be left behind because its reader was held up", async () => {
  const stop = new AbortController();
  let left = false;
  const model = scriptedModel(async function* (_, signal) {
    try {
      yield text("Once upon");
      await untilAborted(signal);
    } finally {
      left = true;
    }
  });
  const { outcome } = await play({ model, tools: [] }, anInput(), {
    signal: stop.signal,
    // Whoever records it waits for a database, longer than an abort is given.
    onEvent: async (event) => {
      if (event.type !== "message.delta") return;
      stop.abort("stopped");
      const abortedAt = performance.now();
      await eventually(() => performance.now() - abortedAt > 1_000);
    },
  });
  expect(outcome).toMatchObject({ kind: "aborted", aborted: ["model call"], interrupted: { text: "Once upon" } });
  expect(left).toBe(true);
});

test("thoughts without an answer are handed back as void", async () => {
  const stop = new AbortController();
  const model = scriptedModel(async function* (_, signal) {
    yield { type: "reasoning", text: "Hmm" };
    await untilAborted(signal);
  });
  const { events, outcome } = await play({ model, tools: [] }, anInput(), {
    signal: stop.signal,
    onEvent: (event) => event.type === "reasoning.delta" && stop.abort("stopped"),
  });
  const id = ofType(events, "reasoning.delta")[0]?.message_id;
  expect(outcome).toMatchObject({ kind: "aborted", interrupted: { id, text: "" } });
});

test("a cut answer is estimated with what the endpoint has counted of the steps before", async () => {
  const counted = 20;
  const stop = new AbortController();
  const model = scriptedModel(
    [...calls({ name: "nothing", args: {} }), { type: "usage", usage: usage(counted, 5) }],
    async function* (_, signal) {
      yield text("Half");
      await untilAborted(signal);
    },
  );
  const { outcome } = await play({ model, tools: [] }, anInput(), {
    signal: stop.signal,
    onEvent: (event) => event.type === "message.delta" && stop.abort("stopped"),
  });
  const guessed = outcome.unreported.usage;
  expect(guessed.estimated).toBe(true);
  const [first, second] = model.requests.map(estimateInput);
  expect(guessed.input_tokens).toBe(Math.ceil((second ?? 0) * (counted / (first ?? 0))));
  expect(guessed.input_tokens).not.toBe(second);
});

test("the deadline ends an answer in the middle, as a failure", async () => {
  const model = scriptedModel(async function* (_, signal) {
    yield text("Slow");
    await untilAborted(signal);
  });
  const limits = { maxSteps: 5, deadline: new Date(Date.now() + 500) };
  const { outcome } = await play({ model, tools: [] }, anInput({ limits }));
  expect(outcome).toMatchObject({ kind: "failed", code: "deadline_exceeded", interrupted: { text: "Slow" } });
});

test("a whole answer that came with the abort is kept", async () => {
  const stop = new AbortController();
  const model = scriptedModel(function* () {
    yield* says("Done", usage(3, 1));
    stop.abort();
  });
  const { events, outcome } = await play({ model, tools: [] }, anInput(), { signal: stop.signal });
  expect(ofType(events, "model.completed")).toHaveLength(1);
  expect(outcome.kind).toBe("completed");
});

test("text that a database refuses is repaired in the whole answer", async () => {
  const model = scriptedModel([
    text("a\u0000b"),
    text("\ud83d"),
    text("\ude00 \ud800"),
    { type: "finish", reason: "stop" },
  ]);
  const { events } = await play({ model, tools: [] });
  expect(ofType(events, "model.completed")[0]?.message.text).toBe("a\uFFFDb\u{1f600} \uFFFD");
});
