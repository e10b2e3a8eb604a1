import { expect, test } from "vitest";
import { z } from "zod";
import type { AgentLimits } from "./agent.ts";
import { continuationNote } from "./context/continuation.ts";
import { textOf, userMessage } from "./messages.ts";
import type { ModelEvent } from "./model.ts";
import { discoverTools } from "./discover-tools.ts";
import { anInput, ofType, play } from "./testing/run.ts";
import { calls, says, scriptedModel, type ScriptedCall, type Turn, usage } from "./testing/scripted-model.ts";
import { defineTool } from "./tool.ts";

const note = defineTool({
  name: "note",
  title: "Note",
  description: "Keeps a number.",
  effect: "once",
  schema: z.strictObject({ n: z.int(), flag: z.boolean().optional(), list: z.array(z.string()).optional() }),
  timeoutMs: 1_000,
  maxResultChars: 100,
  execute: async ({ n }) => `kept ${n}`,
});

const notes = (...numbers: number[]): ScriptedCall[] => numbers.map((n) => ({ name: "note", args: { n }, id: null }));

const look = defineTool({
  name: "look",
  title: "Look",
  description: "Looks at something that goes on by itself.",
  effect: "pure",
  polls: true,
  schema: z.strictObject({}),
  timeoutMs: 1_000,
  maxResultChars: 100,
  execute: async () => "still going on",
});
const looks: ScriptedCall[] = [{ name: "look", args: {}, id: null }];

const cut = (events: readonly ModelEvent[]): ModelEvent[] =>
  events.map((event) => (event.type === "finish" ? { type: "finish", reason: "length" } : event));

const circle = (...rounds: readonly (readonly ScriptedCall[])[]): Turn => {
  let step = 0;
  return () => {
    step += 1;
    return calls(...(rounds[(step - 1) % rounds.length] ?? []));
  };
};

let counted = 0;
const counting: Turn = () => calls(...notes((counted += 1)));

const run = async (turn: Turn, limits: Partial<AgentLimits> = {}) => {
  const model = scriptedModel(turn);
  const input = anInput({ limits: { ...anInput().limits, maxSteps: 40, ...limits } });
  return { ...(await play({ model, tools: [look, note] }, input)), requests: model.requests };
};

test.each<{ name: string; turn: Turn; limits?: Partial<AgentLimits>; code: string; asked: number; ran: number }>([
  { name: "steps", turn: counting, limits: { maxSteps: 4 }, code: "step_limit", asked: 4, ran: 4 },
  { name: "time", turn: counting, limits: { deadline: new Date(0) }, code: "deadline_exceeded", asked: 0, ran: 0 },
  { name: "money", turn: counting, limits: { maxCostUsd: "0.000001" }, code: "budget_exceeded", asked: 0, ran: 0 },
  { name: "the same call", turn: circle(notes(1)), code: "repeated_tool_call", asked: 3, ran: 2 },
  {
    name: "the same two calls in any order",
    turn: circle(notes(1, 2), notes(2, 1)),
    code: "repeated_tool_call",
    asked: 3,
    ran: 4,
  },
  { name: "the same look again and again", turn: circle(looks), code: "step_limit", asked: 40, ran: 40 },
  { name: "A, B, A, B, …", turn: circle(notes(1), notes(2)), code: "repeated_tool_call", asked: 6, ran: 5 },
  {
    name: "a circle of four",
    turn: circle(notes(1), notes(2), notes(1), notes(3)),
    code: "repeated_tool_call",
    asked: 12,
    ran: 11,
  },
  {
    name: "a circle of two, sooner",
    turn: circle(notes(1), notes(2)),
    limits: { maxRepeatedCalls: 2 },
    code: "repeated_tool_call",
    asked: 4,
    ran: 3,
  },
  {
    name: "arguments that nobody can read",
    turn: circle([{ name: "note", args: '{"n":1', id: null }], [{ name: "note", args: "{n", id: null }]),
    code: "model_malformed",
    asked: 3,
    ran: 0,
  },
  {
    name: "arguments that never fit",
    turn: circle(...[1, 2, 3, 4, 5].map((n) => [{ name: "note", args: { m: n }, id: null }])),
    code: "model_malformed",
    asked: 5,
    ran: 0,
  },
  {
    name: "tools that do not exist",
    turn: circle(...[1, 2, 3, 4, 5].map((n) => [{ name: `tool_${n}`, args: {}, id: null }])),
    code: "model_malformed",
    asked: 5,
    ran: 0,
  },
  { name: "words that never end", turn: () => cut(says("and ")), code: "output_truncated", asked: 9, ran: 0 },
  {
    name: "words that may not be gone on with",
    turn: () => cut(says("and ")),
    limits: { maxContinuations: 0 },
    code: "output_truncated",
    asked: 1,
    ran: 0,
  },
  {
    name: "words that never end, in few steps",
    turn: () => cut(says("and ")),
    limits: { maxSteps: 3 },
    code: "step_limit",
    asked: 3,
    ran: 0,
  },
  {
    name: "calls that are always cut",
    turn: () => cut(calls(...notes(1))),
    code: "output_truncated",
    asked: 3,
    ran: 0,
  },
])("$name: the run fails as $code", async ({ turn, limits, code, asked, ran }) => {
  const { events, outcome, requests } = await run(turn, limits);
  expect(outcome).toMatchObject({ kind: "failed", code });
  expect(requests).toHaveLength(asked);
  expect(ofType(events, "tool_call.completed").filter((result) => !result.is_error)).toHaveLength(ran);
});

test("a call that fits among ones that do not is progress, and so is a circle that opens", async () => {
  const mixed = await run(circle([...notes(1), { name: "nope", args: {}, id: null }], notes(2), notes(3), notes(2)), {
    maxSteps: 9,
  });
  expect(mixed.outcome).toMatchObject({ code: "step_limit" });
});

test("a tool that was switched off is no fault of the model's", async () => {
  const model = scriptedModel(...[1, 2, 3, 4, 5, 6].map((n) => calls(...notes(n))), says("Without notes, then."));
  let asked = 0;
  const hooks = {
    // Asked once before the first step, too.
    tools: async () =>
      (asked += 1) > 6 ? { tools: [], unavailable: new Map([["note", "Switched off."]]) } : { tools: [note] },
  };
  const { events, outcome } = await play({ model, tools: [note], hooks });
  expect(outcome.kind).toBe("completed");
  expect(ofType(events, "tool_call.completed").at(-1)?.result).toBe("Switched off.");
});

test("an answer that is cut is gone on with, and the model reads it as one", async () => {
  const model = scriptedModel(cut(says("One, ")), cut(says("two, ")), says("three."));
  const { events, outcome } = await play({ model, tools: [] }, anInput({ messages: [userMessage("Count.")] }));
  expect(outcome.kind).toBe("completed");
  // Stored as what came, in three messages.
  expect(ofType(events, "model.completed").map(({ message }) => [message.text, message.status])).toEqual([
    ["One, ", "interrupted"],
    ["two, ", "interrupted"],
    ["three.", "complete"],
  ]);
  expect(model.requests.map(({ messages }) => messages.map((message) => textOf(message.content)))).toEqual([
    ["Count."],
    ["Count.", "One, ", continuationNote],
    ["Count.", "One, two, ", continuationNote],
  ]);
});

test("what was gone on with is one answer for the next question, and one that was not is marked", async () => {
  const parts = (text: string, status: "complete" | "interrupted") => ({
    role: "assistant" as const,
    content: [{ type: "text" as const, text }],
    tool_calls: [],
    status,
  });
  const model = scriptedModel(says("Yes."));
  const messages = [
    userMessage("Count."),
    parts("One, ", "interrupted"),
    parts("two.", "complete"),
    userMessage("More."),
    parts("Thr", "interrupted"),
    userMessage("Go on?"),
  ];
  await play({ model, tools: [] }, anInput({ messages }));
  expect(model.requests[0]?.messages.map((message) => textOf(message.content))).toEqual([
    "Count.",
    "One, two.",
    "More.",
    "Thr\n[This answer was interrupted here.]",
    "Go on?",
  ]);
});

test("nothing left to say ends an answer that was gone on with; an answer that was never begun stays a failure", async () => {
  const nothing: ModelEvent[] = [
    { type: "usage", usage: usage(10, 0) },
    { type: "finish", reason: "stop" },
  ];
  const cutBefore = await play({ model: scriptedModel(cut(says("All of it.")), nothing), tools: [] });
  expect(cutBefore.outcome.kind).toBe("completed");
  const never = await play({ model: scriptedModel(nothing), tools: [] });
  expect(never.outcome).toMatchObject({ kind: "failed", code: "model_empty" });
});

test("a budget that set the limit of an answer is used up, and nothing is gone on with", async () => {
  const { outcome, requests } = await run(() => cut(says("and ")), { maxCostUsd: "0.0005" });
  expect(outcome).toMatchObject({ kind: "failed", code: "budget_exceeded" });
  expect(requests).toHaveLength(1);
});

test.each([
  ['{"n":"5"}', { n: 5 }],
  ['{"n":5,"flag":"true"}', { n: 5, flag: true }],
  ['{"n":5,"list":"[\\"a\\"]"}', { n: 5, list: ["a"] }],
  ['```json\n{"n":5}\n```', { n: 5 }],
  ['{"n":5,"list":["a\nb",],}', { n: 5, list: ["a\nb"] }],
])("%j is understood, and stored as it was understood", async (args, meant) => {
  const model = scriptedModel(calls({ name: "note", args }), says("ok"));
  const { events } = await play({ model, tools: [note] });
  expect(ofType(events, "model.completed")[0]?.message.tool_calls[0]?.arguments).toEqual(meant);
  expect(ofType(events, "tool_call.completed")[0]).toMatchObject({ is_error: false, result: "kept 5" });
});

test.each([
  '{"n":"05"}',
  '{"n":"5.0"}',
  '{"n":"1e3"}',
  '{"n":" 5"}',
  '{"n":"five"}',
  '{"n":5,"flag":"yes"}',
  '{"n":5,"list":"a"}',
  '{"n":5,"list":["a"',
  '```json\n{"n":5}',
])("%j is not guessed at", async (args) => {
  const model = scriptedModel(calls({ name: "note", args }), says("ok"));
  const { events } = await play({ model, tools: [note] });
  expect(ofType(events, "tool_call.completed")[0]).toMatchObject({ is_error: true, effect_state: "none" });
});

test("scrolling on, and looking once more at what goes on by itself, are no circles", async () => {
  const again: ScriptedCall[] = [
    { name: "browser_act", args: { action: "scroll", direction: "down" }, id: null },
    { name: "browser_extract", args: { what: "snapshot" }, id: null },
    { name: "browser_screenshot", args: {}, id: null },
    { name: "list_processes", args: {}, id: null },
    { name: "check_process", args: { process: "p-0123abcd" }, id: null },
  ];
  const tools = await discoverTools();
  for (const one of again) {
    const model = scriptedModel(...Array.from({ length: 5 }, () => calls(one)), says("Seen."));
    const { outcome } = await play({ model, tools }, anInput());
    expect({ name: one.name, kind: outcome.kind }).toEqual({ name: one.name, kind: "completed" });
  }
});
