import { expect, test } from "vitest";
import { z } from "zod";
import { userMessage } from "./messages.ts";
import { runAgent } from "./run-agent.ts";
import { anInput, ofType, oneTurn, play, shape } from "./testing/run.ts";
import { calls, says, scriptedModel, usage } from "./testing/scripted-model.ts";
import { defineTool } from "./tool.ts";

const double = defineTool({
  name: "double",
  title: "Double",
  description: "Doubles a number.",
  effect: "pure",
  schema: z.strictObject({ n: z.number() }),
  timeoutMs: 1_000,
  maxResultChars: 100,
  execute: async ({ n }) => String(n * 2),
});

const finish = defineTool({
  name: "complete",
  title: "Complete",
  description: "Ends the run.",
  effect: "pure",
  endsRun: true,
  schema: z.strictObject({ ok: z.literal(true) }),
  timeoutMs: 1_000,
  maxResultChars: 100,
  execute: async () => "done",
});

test("an answer without calls completes the run", async () => {
  const { events, outcome } = await play({ model: scriptedModel(says("Hello you")), tools: [] });
  expect(shape(events)).toEqual(["step.started", "message.delta", "model.completed", "step.completed"]);
  const [answer] = ofType(events, "model.completed");
  expect(answer?.message).toMatchObject({ text: "Hello you", tool_calls: [], status: "complete" });
  expect(ofType(events, "message.delta").map((delta) => delta.text)).toEqual(["Hello ", "you"]);
  expect(new Set(ofType(events, "message.delta").map((delta) => delta.message_id))).toEqual(
    new Set([answer?.message.id]),
  );
  expect(outcome).toMatchObject({ kind: "completed", usage: { input_tokens: 10, output_tokens: 5 } });
});

test("calls are run, and the model reads their results in its next step", async () => {
  const model = scriptedModel(calls({ name: "double", args: { n: 21 }, id: "c1" }), says("It is 42."));
  const { events, outcome } = await play({ model, tools: [double] });
  expect(shape(events)).toEqual([
    "step.started",
    "tool_call.delta",
    "model.completed",
    "tool_call.started",
    "tool_call.completed",
    "step.completed",
    "step.started",
    "message.delta",
    "model.completed",
    "step.completed",
  ]);
  expect(ofType(events, "step.started").map((event) => event.step)).toEqual([0, 1]);
  expect(ofType(events, "tool_call.completed")[0]).toMatchObject({
    tool_call_id: "c1",
    name: "double",
    result: "42",
    is_error: false,
    effect_state: "none",
  });
  expect(model.requests[1]?.messages.slice(1)).toMatchObject([
    { role: "assistant", tool_calls: [{ id: "c1", name: "double", arguments: { n: 21 } }] },
    { role: "tool", tool_call_id: "c1", content: [{ type: "text", text: "42" }] },
  ]);
  expect(outcome.kind).toBe("completed");
});

test("nothing acts on an answer before the consumer asks for the event after model.completed", async () => {
  let acted = 0;
  const act = defineTool({
    name: "act",
    title: "Act",
    description: "Acts.",
    effect: "once",
    schema: z.strictObject({}),
    timeoutMs: 1_000,
    maxResultChars: 100,
    execute: async () => {
      acted += 1;
      return "acted";
    },
  });
  const model = scriptedModel(calls({ name: "act", args: {} }, { name: "act", args: {} }), says("ok"));
  const actedAt: Record<string, number> = {};
  const { events } = await play({ model, tools: [act] }, anInput(), {
    onEvent: async (event) => {
      // Whatever the engine would do by itself meanwhile, it does now.
      await oneTurn();
      actedAt[event.type] ??= acted;
    },
  });
  expect(actedAt["model.completed"]).toBe(0);
  expect(acted).toBe(2);
  expect(ofType(events, "model.completed")[0]?.claims).toEqual([
    { tool_call_id: "call_0", name: "act", effect: "once" },
    { tool_call_id: "call_1", name: "act", effect: "once" },
  ]);
});

test("what cannot run is claimed as pure, and nothing else stops the run", async () => {
  const model = scriptedModel(
    calls({ name: "nope", args: {} }, { name: "double", args: { n: "x" } }, { name: "double", args: '{"n": 1' }),
    says("sorry"),
  );
  const { events, outcome } = await play({ model, tools: [double] });
  expect(outcome.kind).toBe("completed");
  expect(ofType(events, "model.completed")[0]?.claims.map((claim) => claim.effect)).toEqual(["pure", "pure", "pure"]);
  const results = ofType(events, "tool_call.completed");
  expect(results.map((result) => [result.is_error, result.effect_state])).toEqual(results.map(() => [true, "none"]));
  expect(results[0]?.result).toBe('There is no tool "nope". The tools are: double.');
  expect(results[1]?.result).toMatch(/do not fit the tool's schema:\n- n: .*number/);
  expect(results[2]?.result).toMatch(/not valid JSON/);
  // The raw text is what was asked for, so it is what is stored.
  expect(ofType(events, "model.completed")[0]?.message.tool_calls[2]?.arguments).toBe('{"n": 1');
});

test("a tool that ends the run ends it only when it succeeds", async () => {
  const model = scriptedModel(
    calls({ name: "complete", args: { ok: false } }),
    calls({ name: "complete", args: { ok: true } }),
  );
  const { events, outcome } = await play({ model, tools: [finish] });
  expect(model.requests).toHaveLength(2);
  expect(outcome.kind).toBe("completed");
  expect(shape(events).at(-1)).toBe("step.completed");
});

test("a message written during the run takes effect at the next step, also after a last answer", async () => {
  const model = scriptedModel(says("first"), says("second"));
  const posted = [[userMessage("and now?")], []];
  const { outcome } = await play({ model, tools: [], hooks: { nextMessages: async () => posted.shift() ?? [] } });
  expect(outcome.kind).toBe("completed");
  expect(model.requests).toHaveLength(2);
  expect(model.requests[1]?.messages.map((message) => message.role)).toEqual(["user", "assistant", "user"]);
});

test("the hook before a step can end the run with its code", async () => {
  const model = scriptedModel(calls({ name: "double", args: { n: 1 } }), says("never"));
  let asked = 0;
  const beforeStep = async () => ((asked += 1) === 1 ? ("go" as const) : { stop: "insufficient_credits" as const });
  const { events, outcome } = await play({ model, tools: [double], hooks: { beforeStep } });
  expect(outcome).toMatchObject({ kind: "failed", code: "insufficient_credits", retryable: false });
  expect(ofType(events, "step.completed")).toHaveLength(1);
});

test("what a hook throws is thrown, because it is no fault of the run", async () => {
  const beforeStep = async () => {
    throw new Error("database down");
  };
  await expect(play({ model: scriptedModel(says("x")), tools: [], hooks: { beforeStep } })).rejects.toThrow(
    "database down",
  );
});

test("limits have their own codes", async () => {
  let n = 0;
  const endless = scriptedModel(() => calls({ name: "double", args: { n: (n += 1) } }));
  const deps = { model: endless, tools: [double] };
  const limits = anInput().limits;
  const steps = await play(deps, anInput({ limits: { ...limits, maxSteps: 3 } }));
  expect(steps.outcome).toMatchObject({ kind: "failed", code: "step_limit" });
  expect(ofType(steps.events, "step.completed")).toHaveLength(3);

  const late = await play(deps, anInput({ limits: { ...limits, deadline: new Date(Date.now() - 1) } }));
  expect(late).toMatchObject({ events: [], outcome: { kind: "failed", code: "deadline_exceeded" } });

  const resumed = await play(deps, anInput({ firstStep: 3, limits: { ...limits, maxSteps: 3 } }));
  expect(resumed).toMatchObject({ events: [], outcome: { kind: "failed", code: "step_limit" } });
});

test("the same call three times in a row is not run the third time and ends the run", async () => {
  const model = scriptedModel(calls({ name: "double", args: { n: 2 } }));
  const { events, outcome } = await play({ model, tools: [double] });
  expect(outcome).toMatchObject({ kind: "failed", code: "repeated_tool_call" });
  const results = ofType(events, "tool_call.completed");
  expect(results.map((result) => result.result)).toEqual(["4", "4", "Not run: the same call 3 times in a row."]);
  expect(shape(events).at(-1)).toBe("step.completed");
  // An id that the model repeats is made unique: it names one call only.
  expect(new Set(results.map((result) => result.tool_call_id)).size).toBe(3);
});

test("another call in between, or a word of the user, is no loop", async () => {
  const model = scriptedModel(
    calls({ name: "double", args: { n: 2 } }),
    calls({ name: "double", args: { n: 2 } }),
    calls({ name: "double", args: { n: 3 } }),
    calls({ name: "double", args: { n: 2 } }),
    calls({ name: "double", args: { n: 2 } }),
    calls({ name: "double", args: { n: 2 } }),
    says("done"),
  );
  let asked = 0;
  const nextMessages = async () => ((asked += 1) === 5 ? [userMessage("go on")] : []);
  const { outcome } = await play({ model, tools: [double], hooks: { nextMessages } });
  expect(outcome.kind).toBe("completed");
});

test("calls that nobody can read are answered twice and then given up", async () => {
  let n = 0;
  const model = scriptedModel(() => calls({ name: "double", args: `{"n": ${(n += 1)}` }));
  const { events, outcome } = await play({ model, tools: [double] });
  expect(outcome).toMatchObject({ kind: "failed", code: "model_malformed" });
  expect(ofType(events, "step.completed")).toHaveLength(3);
});

test("an answer that is cut by the output limit never runs its calls", async () => {
  let ran = 0;
  const spy = defineTool({
    name: "spy",
    title: "Spy",
    description: "Counts.",
    effect: "once",
    schema: z.strictObject({}),
    timeoutMs: 1_000,
    maxResultChars: 100,
    execute: async () => {
      ran += 1;
      return "ran";
    },
  });
  // The arguments happen to be complete; the answer is not.
  const cut = [...calls({ name: "spy", args: {} }).slice(0, -1), { type: "finish", reason: "length" } as const];
  const { events, outcome } = await play({ model: scriptedModel(cut), tools: [spy] });
  expect(ran).toBe(0);
  expect(outcome).toMatchObject({ kind: "failed", code: "output_truncated" });
  expect(ofType(events, "model.completed").map((event) => [event.message.status, event.claims[0]?.effect])).toEqual([
    ["interrupted", "pure"],
    ["interrupted", "pure"],
    ["interrupted", "pure"],
  ]);
});

test("text that is cut by the output limit is kept and is no success", async () => {
  const cut = [...says("half a sen").slice(0, -1), { type: "finish", reason: "length" } as const];
  const { events, outcome } = await play({ model: scriptedModel(cut), tools: [] });
  expect(ofType(events, "model.completed")[0]?.message).toMatchObject({ text: "half a sen", status: "interrupted" });
  expect(outcome).toMatchObject({ kind: "failed", code: "output_truncated" });
});

test("leaving the iteration early ends the model call", async () => {
  let closed = false;
  const model = scriptedModel(async function* () {
    try {
      for (;;) yield { type: "text", text: "x" } as const;
    } finally {
      closed = true;
    }
  });
  for await (const event of runAgent({ model, tools: [] }, anInput(), new AbortController().signal)) {
    if (event.type === "message.delta") break;
  }
  expect(closed).toBe(true);
});

test("money is counted exactly, and what an earlier attempt spent counts as well", async () => {
  const model = scriptedModel(calls({ name: "double", args: { n: 1 } }), says("done", usage(1_000_000, 3)));
  const { events, outcome } = await play(
    { model, tools: [double] },
    anInput({ spent: { usage: usage(1, 1), cost_usd: "0.5" } }),
  );
  // demo: 1 USD for a million tokens in, 4 USD for a million out.
  expect(ofType(events, "model.completed").map((event) => event.cost_usd)).toEqual(["0.00003", "1.000012"]);
  expect(ofType(events, "step.completed").map((event) => event.cost_usd)).toEqual(["0.00003", "1.000012"]);
  expect(outcome).toMatchObject({
    cost_usd: "1.500042",
    usage: { input_tokens: 1_000_011, output_tokens: 9 },
    unreported: { cost_usd: "0", usage: { input_tokens: 0 } },
  });
});

test("a model without a known price costs nothing and is marked", async () => {
  const { events, outcome } = await play(
    { model: scriptedModel(says("hi")), tools: [] },
    anInput({ model: "stranger" }),
  );
  expect(ofType(events, "model.completed")[0]).toMatchObject({ cost_usd: "0", priced: false });
  expect(outcome.cost_usd).toBe("0");
});

test("a budget bounds what the model may write, and ends the run when it is used up", async () => {
  let n = 0;
  const model = scriptedModel(() => calls({ name: "double", args: { n: (n += 1) } }));
  const limits = { ...anInput().limits, maxCostUsd: "0.00075" };
  const { outcome } = await play({ model, tools: [double] }, anInput({ limits }));
  expect(outcome).toMatchObject({ kind: "failed", code: "budget_exceeded" });
  const allowed = model.requests.map((request) => request.parameters.maxOutputTokens ?? 0);
  expect(allowed.length).toBeGreaterThan(2);
  expect(allowed).toEqual(allowed.toSorted((left, right) => right - left));

  const nothing = scriptedModel(says("x"));
  const poor = await play({ model: nothing, tools: [] }, anInput({ limits: { ...limits, maxCostUsd: "0.000001" } }));
  expect(poor).toMatchObject({ events: [], outcome: { kind: "failed", code: "budget_exceeded" } });
  expect(nothing.requests).toHaveLength(0);
});
