import { noUsage, type RunEvent } from "@cortex/contracts";
import { expect, test } from "vitest";
import { createClient } from "../client.ts";
import { serve } from "../testing/http-server.ts";
import {
  callCompleted,
  callStarted,
  completed,
  delta,
  eventsOf,
  openStreamAnswer,
  restOf,
  runCompleted,
  runId,
  shortRun,
  stepCompleted,
  stepStarted,
  threadId,
} from "../testing/recorded-log.ts";
import { reduceRun } from "./reduce-run.ts";
import { emptyRunView, type RunView } from "./run-view.ts";

const viewOf = (payloads: readonly object[]): RunView => eventsOf(payloads).reduce(reduceRun, emptyRunView);

const started = { type: "run.started", model: "demo", agent_version_id: threadId };
const secondAttempt = { type: "attempt.started", attempt: 2 };
const toolDelta = (id: string, text: string) => ({
  type: "tool_call.delta",
  tool_call_id: id,
  name: "calculator",
  arguments_delta: text,
});
const output = (id: string, chunk: string) => ({ type: "tool_call.output", tool_call_id: id, chunk });
const request = (id: string) => ({ id, name: "calculator", arguments: { expression: "5 + 10" } });

test("a whole run", () => {
  const view = viewOf([
    { type: "run.queued", position: 3 },
    started,
    stepStarted(0),
    { type: "reasoning.delta", message_id: threadId, text: "hm" },
    completed("Let me see.", { id: threadId, tool_calls: [request("a")] }),
    callStarted("a"),
    callCompleted("a"),
    stepCompleted(0),
    stepStarted(1),
    delta("It is "),
    delta("15."),
    completed("It is 15."),
    stepCompleted(1),
    runCompleted,
  ]);
  expect(view).toMatchObject({
    status: "completed",
    position: null,
    model: "demo",
    attempt: 1,
    messages: [
      { id: threadId, status: "complete", text: "Let me see.", reasoning: "hm" },
      { status: "complete", text: "It is 15." },
    ],
    toolCalls: [
      { id: "a", status: "completed", result: "15", effectState: "none", arguments: { expression: "5 + 10" } },
    ],
    steps: [
      { step: 0, status: "completed", costUsd: "0.1" },
      { step: 1, status: "completed" },
    ],
    usage: { input_tokens: 10 },
    costUsd: "0.3",
    error: null,
  });
  expect(view.startedAt).not.toBeNull();
  expect(view.endedAt).not.toBeNull();
});

test("in the middle: text grows, usage and cost are the sum of the steps", () => {
  const events = [
    { type: "run.queued", position: 3 },
    started,
    stepStarted(0),
    stepCompleted(0),
    stepStarted(1),
    stepCompleted(1),
  ];
  const view = viewOf([...events, stepStarted(2), delta("Hel"), delta("lo")]);
  expect(view).toMatchObject({
    status: "running",
    costUsd: "0.2",
    usage: { input_tokens: 20, output_tokens: 10 },
    messages: [{ status: "streaming", role: "assistant", text: "Hello", message: null }],
    steps: [{ step: 0 }, { step: 1 }, { step: 2, status: "running" }],
  });
  expect(viewOf(events.slice(0, 1))).toMatchObject({ status: "queued", position: 3 });
});

test("the whole message counts, whatever its previews said", () => {
  expect(viewOf([delta("Hello wrold"), completed("Hello world")]).messages).toMatchObject([
    { text: "Hello world", status: "complete", message: { role: "assistant" } },
  ]);
  expect(viewOf([completed("Hello"), delta("?")]).messages).toMatchObject([{ text: "Hello" }]);
  expect(viewOf([delta("Hel"), completed("Hel", { status: "interrupted" })]).messages[0]?.status).toBe("interrupted");
});

test("a discarded message goes, with the calls that were being written in it", () => {
  const discarded = { type: "message.discarded", message_id: "22222222-2222-4222-8222-222222222222", reason: "cut" };
  const view = viewOf([completed("Kept", { id: threadId }), delta("half"), toolDelta("a", "{"), discarded]);
  expect(view.messages).toMatchObject([{ text: "Kept" }]);
  expect(view.toolCalls).toEqual([]);
});

test("calls that the message does not make after all were never made", () => {
  const events = [delta("Let me see."), toolDelta("a", '{"expr'), toolDelta("a", 'ession":1}'), toolDelta("b", "{")];
  expect(viewOf(events).toolCalls).toMatchObject([
    { id: "a", status: "writing", argumentsText: '{"expression":1}', arguments: null },
    { id: "b", status: "writing" },
  ]);
  const made = completed("Let me see.", { tool_calls: [request("a")] });
  expect(viewOf([...events, made]).toolCalls).toMatchObject([{ id: "a" }]);
  expect(viewOf([...events, completed("Let me see.", { status: "interrupted" })]).toolCalls).toEqual([]);
});

test("a call as it goes: output, result, failure, doubt", () => {
  expect(viewOf([callStarted("a"), output("a", "one\n"), output("a", "two\n")]).toolCalls).toMatchObject([
    { status: "running", output: "one\ntwo\n", result: null, effectState: null },
  ]);
  expect(viewOf([callStarted("a"), callCompleted("a", { is_error: true })]).toolCalls[0]?.status).toBe("failed");
  expect(viewOf([callStarted("a"), callCompleted("a", { effect_state: "unknown" })]).toolCalls[0]?.effectState).toBe(
    "unknown",
  );
});

test("a new attempt: previews of the open step are void, what is stored stays, calls that ran are made again", () => {
  const events = [
    started,
    stepStarted(0),
    completed("Stored", { id: threadId, tool_calls: [request("a"), request("b")] }),
    callStarted("a"),
    callStarted("b"),
    callCompleted("a"),
    output("b", "half"),
    delta("void"),
    toolDelta("c", "{"),
  ];
  const view = viewOf([...events, secondAttempt]);
  expect(view).toMatchObject({ status: "running", attempt: 2, messages: [{ text: "Stored" }] });
  expect(view.toolCalls).toMatchObject([
    { id: "a", status: "completed", result: "15" },
    { id: "b", status: "running", output: "" },
  ]);
  expect(viewOf([...events, secondAttempt, delta("anew", runId)]).messages).toMatchObject([
    { text: "Stored" },
    { text: "anew" },
  ]);
  expect(viewOf([...events, secondAttempt, stepStarted(0)]).steps).toHaveLength(1);
});

test("the end: what was never completed is not part of the run", () => {
  const error = { code: "model_timeout", message: "silence", retryable: true } as const;
  const totals = { usage: noUsage, cost_usd: "0" };
  const events = [started, delta("half"), toolDelta("a", "{"), callStarted("b")];
  expect(viewOf([...events, { type: "run.failed", ...totals, error }])).toMatchObject({
    status: "failed",
    error,
    messages: [],
    toolCalls: [{ id: "b", status: "lost" }],
  });
  const receipt = {
    requested_at: "2026-11-20T12:00:00.000Z",
    stopped_at: "2026-11-20T12:00:01.000Z",
    aborted: ["model"],
    killed: [],
    charged_usd: "0",
  };
  expect(viewOf([{ type: "run.stopped", ...totals, receipt }])).toMatchObject({ status: "stopped", receipt });
});

test("waiting, truncated, rebuilt, unknown", () => {
  const waiting = [started, { type: "run.waiting", reason: "approval" }];
  expect(viewOf(waiting)).toMatchObject({ status: "waiting", waiting: "approval" });
  expect(viewOf([...waiting, { type: "run.resumed", reason: "approved" }])).toMatchObject({
    status: "running",
    waiting: null,
  });
  const limit = { type: "run.waiting", reason: "provider_limit", resume_at: "2026-11-20T12:00:30.000Z" };
  const limited = { status: "waiting", waiting: "provider_limit", resumeAt: limit.resume_at };
  expect(viewOf([started, limit])).toMatchObject(limited);
  expect(viewOf([started, limit, secondAttempt])).toMatchObject({ status: "running", waiting: null, resumeAt: null });
  expect(viewOf([{ type: "log.truncated" }]).truncated).toBe(true);
  expect(viewOf([started, delta("x"), { type: "resync" }])).toEqual(emptyRunView);
  const dream = { type: "run.dreamt" } as unknown as RunEvent;
  expect(reduceRun(emptyRunView, dream)).toBe(emptyRunView);
});

test("is pure, and keeps what did not change", () => {
  const freeze = <Value>(value: Value): Value => {
    if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
    return value;
  };
  const before = freeze(
    viewOf([started, stepStarted(0), completed("a", { id: threadId }), callStarted("a"), delta("x")]),
  );
  const [next] = eventsOf([delta("y")]);
  const after = next ? reduceRun(before, freeze(next)) : before;
  expect(after.messages[0]).toBe(before.messages[0]);
  expect(after.toolCalls).toBe(before.toolCalls);
  expect(after.messages[1]?.text).toBe("xy");
});

test("a watched run: the view with each event, the same however often the line breaks", async () => {
  await using server = await serve((request, response) => {
    const rest = restOf(shortRun, request.query.get("after"));
    openStreamAnswer(response).end(
      request.query.get("after") === "1.6" ? rest : rest.slice(0, rest.indexOf("\n\n", 30) + 2),
    );
  });
  const client = createClient({ baseUrl: server.url, token: "x", timing: { reconnectMs: 0, longestReconnectMs: 1 } });
  const watched = await Array.fromAsync(client.watchRun(runId));
  expect(watched.map(({ event }) => event.type)).toEqual(shortRun.map(({ type }) => type));
  expect(watched.at(-1)?.view).toEqual(shortRun.reduce(reduceRun, emptyRunView));
  expect(server.arrived).toHaveLength(shortRun.length);
});
