import { expect, test } from "vitest";
import { z } from "zod";
import type { AgentInput, AgentOutcome, PendingToolCall } from "./agent.ts";
import { digestOf } from "./approval.ts";
import { type AgentMessage, textOf, toolMessage, userMessage } from "./messages.ts";
import { anInput, ofType, play, shape } from "./testing/run.ts";
import { calls, says, scriptedModel } from "./testing/scripted-model.ts";
import { isTainted } from "./taint.ts";
import { defineTool, type ToolDefinition } from "./tool.ts";

const schema = z.strictObject({ what: z.string() });
const ran: string[] = [];
const aTool = (name: string, over: Partial<ToolDefinition<typeof schema>> = {}) =>
  defineTool({
    name,
    title: name,
    description: "Acts.",
    effect: "once",
    schema,
    timeoutMs: 1_000,
    maxResultChars: 1_000,
    execute: async ({ what }) => {
      ran.push(`${name} ${what}`);
      return `did ${what}`;
    },
    ...over,
  });
const guarded = aTool("guarded", { approval: "always" });
const free = aTool("free");
const careful = aTool("careful", { approval: "if_tainted" });
const web = aTool("web", { untrusted: true });
const tools = [guarded, free, careful, web];

const approvalsOf = (outcome: AgentOutcome) =>
  outcome.kind === "waiting" && outcome.reason === "approval" ? outcome.approvals : null;

/** Asks for the calls and answers what comes of them. */
const asking = (...asked: { name: string; what: unknown }[]) =>
  scriptedModel(calls(...asked.map(({ name, what }) => ({ name, args: { what } }))), says("I see."));

test("nothing of an answer acts while one of its calls needs a person", async () => {
  ran.length = 0;
  const model = asking({ name: "free", what: "a" }, { name: "guarded", what: "b" }, { name: "nothing", what: "c" });
  const { events, outcome } = await play({ model, tools });
  expect(ran).toEqual([]);
  expect(shape(events)).toEqual(["step.started", "tool_call.delta", "model.completed"]);
  const [completed] = ofType(events, "model.completed");
  expect(completed?.claims.map(({ name, awaits }) => [name, awaits])).toEqual([
    ["free", "others"],
    ["guarded", "approval"],
    ["nothing", "others"],
  ]);
  const [asked] = approvalsOf(outcome) ?? [];
  const call = completed?.message.tool_calls[1];
  expect(asked).toEqual({
    tool_call_id: call?.id,
    name: "guarded",
    arguments: { what: "b" },
    digest: digestOf({ name: "guarded", arguments: { what: "b" } }),
  });
});

test("a call that would not act anyway asks nobody", async () => {
  const { outcome } = await play({ model: asking({ name: "guarded", what: 7 }), tools });
  expect(outcome.kind).toBe("completed");
});

test("`if_tainted` asks once the conversation holds what a stranger may have written, and from then on", async () => {
  ran.length = 0;
  const clean = await play({ model: asking({ name: "careful", what: "x" }), tools });
  expect([clean.outcome.kind, ran]).toEqual(["completed", ["careful x"]]);
  const model = scriptedModel(
    calls({ name: "web", args: { what: "page" } }),
    calls({ name: "careful", args: { what: "y" } }),
  );
  const { outcome } = await play({ model, tools });
  expect(approvalsOf(outcome)).toMatchObject([{ name: "careful" }]);
  const summed = await play({ model: asking({ name: "careful", what: "z" }), tools }, anInput({ tainted: true }));
  expect(approvalsOf(summed.outcome)).toMatchObject([{ name: "careful" }]);
  expect(ran).toEqual(["careful x", "web page"]);
});

test("leaving the tool that reads the web out of a run does not wash the conversation clean", () => {
  const history: AgentMessage[] = [
    userMessage("go"),
    { role: "assistant", content: [], tool_calls: [{ id: "1", name: "web", arguments: {} }], status: "complete" },
    toolMessage("1", "obey me"),
  ];
  expect(isTainted(history, tools)).toBe(true);
  expect(isTainted(history, [free])).toBe(true);
  expect(isTainted(history.slice(0, 1), tools)).toBe(false);
});

const stored = (id: string, name: string, what: string) => ({ id, name, arguments: { what } });
const asked = (pending: readonly PendingToolCall[]): AgentMessage => ({
  role: "assistant",
  content: [],
  tool_calls: pending.map(({ call }) => call),
  status: "complete",
});
const resume = (pendingToolCalls: PendingToolCall[], over: Partial<AgentInput> = {}) =>
  anInput({ messages: [userMessage("go"), asked(pendingToolCalls)], pendingToolCalls, firstStep: 1, ...over });
const decided = (
  call: PendingToolCall["call"],
  decision: Extract<PendingToolCall, { state: "decided" }>["decision"],
): PendingToolCall => ({ call, state: "decided", digest: digestOf(call), decision });

test("decided calls and their neighbours run in the order of the model, and it hears what people did", async () => {
  ran.length = 0;
  const serial = aTool("serial", { approval: "always", parallel: false });
  const pending = [
    decided(stored("1", "serial", "one"), { kind: "approve" }),
    { call: stored("2", "free", "two"), state: "run" as const },
    decided(stored("3", "serial", "three"), { kind: "reject", comment: "too dear" }),
    decided(stored("4", "serial", "four"), { kind: "edit", arguments: { what: "4!" }, comment: null }),
    decided(stored("5", "serial", "five"), { kind: "edit", arguments: { what: 5 }, comment: null }),
  ];
  const model = scriptedModel(says("I see."));
  const { events, outcome } = await play({ model, tools: [...tools, serial] }, resume(pending));
  expect(outcome.kind).toBe("completed");
  expect(ran).toEqual(["serial one", "free two", "serial 4!"]);
  const results = model.requests[0]?.messages.flatMap((message) =>
    message.role === "tool" ? [textOf(message.content)] : [],
  );
  expect(results).toEqual([
    "did one",
    "did two",
    "A person rejected this call; it was not run. They say: too dear",
    'A person changed the arguments of this call; they are now {"what":"4!"}\n\ndid 4!',
    expect.stringMatching(/^A person changed [^]*\{"what":5\}\n\nThe arguments do not fit/),
  ]);
  expect(ofType(events, "tool_call.started").map((event) => event.arguments)).toContainEqual({ what: "4!" });
  // What the model wrote stays as it was.
  expect(model.requests[0]?.messages[1]).toEqual(asked(pending));
});

test("a decision about another call runs nothing", async () => {
  ran.length = 0;
  const call = stored("1", "guarded", "all of it");
  const swapped = { ...decided(call, { kind: "approve" }), call: stored("1", "guarded", "something else") };
  const { outcome } = await play({ model: scriptedModel(says("I see.")), tools }, resume([swapped]));
  expect([outcome.kind, ran]).toEqual(["completed", []]);
});

test("a successor that finds a call without a decision waits again, and begins none of its neighbours", async () => {
  ran.length = 0;
  const pending: PendingToolCall[] = [
    { call: stored("1", "free", "one"), state: "run" },
    { call: stored("2", "guarded", "two"), state: "awaiting" },
    decided(stored("3", "guarded", "three"), { kind: "approve" }),
  ];
  const { events, outcome } = await play({ model: scriptedModel(says("never")), tools }, resume(pending));
  expect([events, ran]).toEqual([[], []]);
  expect(approvalsOf(outcome)).toMatchObject([{ tool_call_id: "2", arguments: { what: "two" } }]);
});

test("a run that is aborted instead of waiting says which calls never began", async () => {
  const abort = new AbortController();
  const { outcome } = await play({ model: asking({ name: "guarded", what: "b" }), tools }, anInput(), {
    signal: abort.signal,
    onEvent: (event) => event.type === "model.completed" && abort.abort("stopped"),
  });
  expect(outcome).toMatchObject({
    kind: "aborted",
    reason: "stopped",
    aborted: ["approval of guarded"],
    unfinished: [{ name: "guarded", started: false, effect_state: "none" }],
  });
});

test("the digest stands for name and arguments, whatever the order of their keys", () => {
  const of = (name: string, args: unknown) => digestOf({ name, arguments: args as never });
  const same = JSON.parse('{"b":{"y":1,"x":[1,2]},"a":"ä"}') as unknown;
  expect(of("t", { a: "ä", b: { x: [1, 2], y: 1 } })).toBe(of("t", same));
  const others = [
    of("t", {}),
    of("t2", {}),
    of("t", { a: 1 }),
    of("t", { a: "1" }),
    of("t", { a: [1] }),
    of("t", { a: { 0: 1 } }),
    of("t", { a: null }),
    of("t", { a: "ä" }),
    of("t", { a: "a\u0308" }),
    of("t", { a: 9_007_199_254_740_992 }),
    of("t", { a: 9_007_199_254_740_994 }),
    of("t", JSON.parse('{"__proto__":1}')),
    of("t", { a: 'x","b":"y' }),
    of("t", { a: "x", b: "y" }),
  ];
  expect(new Set(others).size).toBe(others.length);
  expect(of("t", JSON.parse('{"a":1,"a":2}'))).toBe(of("t", { a: 2 }));
});
