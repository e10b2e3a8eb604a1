import { expect, test } from "vitest";
import { z } from "zod";
import type { AgentInput, PendingToolCall } from "./agent.ts";
import { type AgentMessage, textOf, toolMessage, userMessage } from "./messages.ts";
import { anInput, ofType, play, shape } from "./testing/run.ts";
import { calls, says, scriptedModel, type Turn } from "./testing/scripted-model.ts";
import { defineTool } from "./tool.ts";

const ran: string[] = [];
const act = defineTool({
  name: "act",
  title: "Act",
  description: "Acts.",
  effect: "once",
  schema: z.strictObject({ what: z.string() }),
  timeoutMs: 1_000,
  maxResultChars: 100,
  execute: async ({ what }) => {
    ran.push(what);
    return `did ${what}`;
  },
});
const complete = defineTool({
  name: "complete",
  title: "Complete",
  description: "Ends.",
  effect: "pure",
  endsRun: true,
  schema: z.strictObject({}),
  timeoutMs: 1_000,
  maxResultChars: 100,
  execute: async () => "done",
});

const call = (id: string, name = "act") => ({ id, name, arguments: name === "act" ? { what: id } : {} });
const asked = (...ids: string[]): AgentMessage => ({
  role: "assistant",
  content: [],
  tool_calls: ids.map((id) => call(id)),
  status: "complete",
});

const resume = (messages: AgentMessage[], pendingToolCalls: PendingToolCall[], extra: Partial<AgentInput> = {}) =>
  anInput({ messages, pendingToolCalls, firstStep: 1, ...extra });

test("a resumed step runs what is safe, keeps what is done and says what is uncertain", async () => {
  ran.length = 0;
  const model = scriptedModel(says("I see."));
  const { events, outcome } = await play(
    { model, tools: [act] },
    resume(
      [userMessage("go"), asked("a", "b", "c")],
      [
        { call: call("a"), state: "done", result: "did a", isError: false },
        { call: call("b"), state: "unknown" },
        { call: call("c"), state: "run" },
      ],
    ),
  );
  expect(ran).toEqual(["c"]);
  expect(shape(events).slice(0, 4)).toEqual([
    "tool_call.completed",
    "tool_call.started",
    "tool_call.completed",
    "step.completed",
  ]);
  expect(ofType(events, "tool_call.completed")).toMatchObject([
    { tool_call_id: "b", is_error: true, effect_state: "unknown" },
    { tool_call_id: "c", result: "did c", effect_state: "done" },
  ]);
  expect(ofType(events, "step.completed").map((event) => event.step)).toEqual([0, 1]);
  expect(ofType(events, "step.started").map((event) => event.step)).toEqual([1]);
  const [request] = model.requests;
  expect(request?.messages.slice(2)).toMatchObject([
    { role: "tool", tool_call_id: "a", content: [{ text: "did a" }] },
    {
      role: "tool",
      tool_call_id: "b",
    },
    { role: "tool", tool_call_id: "c", content: [{ text: "did c" }] },
  ]);
  expect(textOf(request?.messages[3]?.content ?? [])).toContain("not known whether it took effect");
  expect(outcome.kind).toBe("completed");
});

test("a run whose last call had ended it is completed without another word", async () => {
  const model = scriptedModel(says("never"));
  const messages: AgentMessage[] = [
    userMessage("go"),
    { role: "assistant", content: [], tool_calls: [call("x", "complete")], status: "complete" },
  ];
  for (const pending of [
    { call: call("x", "complete"), state: "done", result: "done", isError: false },
    { call: call("x", "complete"), state: "run" },
  ] as const) {
    const { outcome } = await play({ model, tools: [complete] }, resume(messages, [pending]));
    expect(outcome.kind).toBe("completed");
  }
  expect(model.requests).toHaveLength(0);
});

test("a run that died after its last answer is completed, unless the user has written since", async () => {
  const answer: AgentMessage = {
    role: "assistant",
    content: [{ type: "text", text: "42" }],
    tool_calls: [],
    status: "complete",
  };
  const model = scriptedModel(says("again"));
  const done = await play({ model, tools: [] }, resume([userMessage("?"), answer], []));
  expect(done).toMatchObject({ events: [], outcome: { kind: "completed" } });
  await play({ model, tools: [] }, resume([userMessage("?"), answer, userMessage("sure?")], []));
  expect(model.requests).toHaveLength(1);
});

test("a last call that is made up for ends no run whose user has written since", async () => {
  const messages: AgentMessage[] = [
    userMessage("go"),
    { role: "assistant", content: [], tool_calls: [call("x", "complete")], status: "complete" },
    userMessage("wait, one more thing"),
  ];
  for (const pending of [
    { call: call("x", "complete"), state: "done", result: "done", isError: false },
    { call: call("x", "complete"), state: "run" },
  ] as const) {
    const model = scriptedModel(says("Yes?"));
    const { outcome } = await play({ model, tools: [complete] }, resume(messages, [pending]));
    expect(model.requests.map(({ messages: sent }) => sent.map(({ role }) => role))).toEqual([
      ["user", "assistant", "tool", "user"],
    ]);
    expect(outcome.kind).toBe("completed");
  }
});

test("a message that was stored among the results stands behind them", async () => {
  const model = scriptedModel(says("ok"));
  const messages = [userMessage("go"), asked("a", "b"), userMessage("hurry"), toolMessage("b", "did b")];
  await play({ model, tools: [act] }, resume(messages, [{ call: call("a"), state: "run" }]));
  expect(
    model.requests[0]?.messages.map((message) => (message.role === "tool" ? message.tool_call_id : message.role)),
  ).toEqual(["user", "assistant", "a", "b", "user"]);
});

test("an abort during the resumed calls leaves the step open", async () => {
  const stop = new AbortController();
  stop.abort("shutdown");
  const { events, outcome } = await play(
    { model: scriptedModel(says("x")), tools: [act] },
    resume([userMessage("go"), asked("a")], [{ call: call("a"), state: "run" }]),
    { signal: stop.signal },
  );
  expect(events).toEqual([]);
  expect(outcome).toMatchObject({
    kind: "aborted",
    reason: "shutdown",
    unfinished: [{ tool_call_id: "a", started: false }],
  });
});

/** An answer that is given again has an id of its own. */
const withoutIds = (messages: readonly AgentMessage[] = []) =>
  messages.map((message) => ({ ...message, id: undefined }));

test("a run resumed from every prefix asks the model the same", async () => {
  const turns: Turn[] = [
    calls({ name: "act", args: { what: "one" }, id: "1" }),
    calls({ name: "act", args: { what: "two" }, id: "2a" }, { name: "act", args: { what: "three" }, id: "2b" }),
    says("Done."),
  ];
  const whole = scriptedModel(...turns);
  await play({ model: whole, tools: [act] }, anInput({ messages: [userMessage("go")] }));
  const full = whole.requests.at(-1)?.messages ?? [];
  expect(full).toHaveLength(6);

  for (let kept = 2; kept <= full.length; kept += 1) {
    const prefix = full.slice(0, kept);
    const answers = prefix.flatMap((message) => (message.role === "assistant" ? [message] : []));
    const settled = new Set(prefix.flatMap((message) => (message.role === "tool" ? [message.tool_call_id] : [])));
    const pending = (answers.at(-1)?.tool_calls ?? [])
      .filter((open) => !settled.has(open.id))
      .map((open) => ({ call: open, state: "run" as const }));
    const rest = scriptedModel(...turns.slice(answers.length));
    const { outcome } = await play(
      { model: rest, tools: [act] },
      resume(prefix, pending, { firstStep: answers.length }),
    );
    expect(outcome.kind).toBe("completed");
    expect(withoutIds(rest.requests.at(-1)?.messages)).toEqual(withoutIds(full));
  }
});
