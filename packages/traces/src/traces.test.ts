import { randomUUID } from "node:crypto";
import { type Message, noUsage, type Usage } from "@cortex/contracts";
import { createMask } from "@cortex/observability";
import { startTraceCollector, type TraceCollector } from "@cortex/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openTraceTargets, type TraceSettings, type TraceTarget } from "./trace-target.ts";
import type { TracedRun } from "./traced-run.ts";

const keys = { publicKey: "pk-lf-test", secretKey: "sk-lf-test" };
let collector: TraceCollector;
let opened: TraceTarget[];
beforeEach(async () => {
  collector = await startTraceCollector(keys);
  opened = [];
});
afterEach(async () => {
  await Promise.all(opened.map((target) => target.close().catch(() => undefined)));
  await collector.close();
});

const open = (settings: Partial<TraceSettings> = {}) => {
  opened = openTraceTargets({
    langfuse: { ...keys, baseUrl: collector.url },
    otlp: null,
    environment: "test",
    content: true,
    timeoutMs: 1_000,
    mask: createMask(["hunter2hunter2"]),
    ...settings,
  });
  return opened;
};
const send = async (run: TracedRun, settings: Partial<TraceSettings> = {}) => {
  for (const target of open(settings)) await target.send(run);
  expect(collector.complaints).toEqual([]);
  return collector.spans();
};

const start = Date.parse("2026-11-21T10:00:00.000Z");
const at = (seconds: number) => new Date(start + seconds * 1_000);
const usageOf = (usage: Partial<Usage>): Usage => ({ ...noUsage, ...usage });
const message = (seq: number, role: Message["role"], text: string, rest: Partial<Message> = {}): Message => ({
  id: randomUUID() as Message["id"],
  thread_id: randomUUID() as Message["thread_id"],
  run_id: null,
  seq,
  role,
  status: "complete",
  content: [{ type: "text", text }],
  metadata: {},
  created_at: at(seq).toISOString(),
  ...rest,
});

/** Asked, thought, called a tool, waited, answered; and gave one answer up on the way. */
const aRun = (rest: Partial<TracedRun> = {}): TracedRun => ({
  id: randomUUID(),
  accountId: "account",
  projectId: "project",
  threadId: "thread",
  userId: "user",
  requestId: "request",
  agent: { id: "agent", name: "Clerk", version: 3 },
  model: "demo",
  status: "completed",
  attempts: 2,
  error: null,
  usage: usageOf({ input_tokens: 160, cached_input_tokens: 20, output_tokens: 35, reasoning_tokens: 5 }),
  costUsd: "0.07",
  createdAt: at(0),
  completedAt: at(9),
  requests: [message(0, "user", "what is 1 + 1?")],
  messages: [
    {
      step: 0,
      message: message(2, "assistant", "", { tool_calls: [{ id: "c1", name: "calculator", arguments: {} }] }),
    },
    { step: 0, message: message(3, "tool", "2", { tool_call_id: "c1" }) },
    { step: 1, message: message(8, "assistant", "It is 2.") },
  ],
  steps: [
    {
      step: 0,
      attempt: 1,
      model: "demo",
      finishReason: "tool_calls",
      usage: usageOf({ input_tokens: 50, output_tokens: 10 }),
      costUsd: "0.02",
      startedAt: at(1),
    },
    {
      step: 1,
      attempt: 2,
      model: "other",
      finishReason: "stop",
      usage: usageOf({ input_tokens: 100, cached_input_tokens: 20, output_tokens: 20, reasoning_tokens: 5 }),
      costUsd: "0.04",
      startedAt: at(6),
    },
  ],
  toolCalls: [
    {
      id: "c1",
      step: 0,
      attempt: 1,
      name: "calculator",
      arguments: { expression: "1 + 1" },
      effect: "pure",
      state: "done",
      result: "2",
      isError: false,
      startedAt: at(2),
      endedAt: at(3),
    },
  ],
  waits: [{ attempt: 1, reason: "provider_limit", beganAt: at(4), endedAt: at(5) }],
  summaries: [],
  ...rest,
});

test("one trace for a run of two attempts: its model calls, tools and waits, with their times, under the run", async () => {
  const run = aRun();
  const spans = await send(run);
  const root = spans.find((span) => span.parentSpanId === null);
  expect(new Set(spans.map((span) => span.traceId))).toEqual(new Set([run.id.replaceAll("-", "")]));
  expect(spans.filter((span) => span !== root).map((span) => span.parentSpanId)).toEqual(
    Array.from({ length: 5 }, () => root?.spanId),
  );
  const seconds = (ms: number) => (ms - start) / 1_000;
  expect(spans.map((span) => [span.name, seconds(span.startMs), seconds(span.endMs)])).toEqual([
    ["agent-run", 0, 9],
    ["step 0", 1, 2],
    ["calculator", 2, 3],
    ["waiting: provider_limit", 4, 5],
    ["step 1", 6, 8],
    ["answers given up", 9, 9],
  ]);
  for (const span of spans) {
    expect(span.attributes).toMatchObject({
      "langfuse.trace.name": "agent-run",
      "user.id": "user",
      "session.id": "thread",
      "langfuse.trace.metadata.request_id": "request",
      "langfuse.trace.metadata.run_id": run.id,
      "langfuse.environment": "test",
    });
  }
});

test("tokens are in one kind each, and what the spans cost is what the run has cost", async () => {
  const spans = await send(aRun());
  const details = (name: string, what: "usage" | "cost"): Record<string, number> =>
    JSON.parse(
      String(spans.find((span) => span.name === name)?.attributes[`langfuse.observation.${what}_details`] ?? "{}"),
    ) as Record<string, number>;
  expect(details("step 1", "usage")).toEqual({
    input: 80,
    input_cached_tokens: 20,
    input_cache_creation: 0,
    output: 15,
    output_reasoning_tokens: 5,
    total: 120,
  });
  expect(details("answers given up", "usage")).toMatchObject({ input: 10, output: 5, total: 15 });
  const cost = ["step 0", "step 1", "answers given up"].map((name) => details(name, "cost")["total"] ?? 0);
  expect(cost.reduce((sum, each) => sum + each, 0)).toBeCloseTo(0.07, 10);
});

test("a summary is a model call of its own, and not among what was given up", async () => {
  const made = {
    id: "made",
    step: 1,
    attempt: 2,
    model: "small",
    text: "They added numbers.",
    usage: usageOf({ input_tokens: 10, output_tokens: 5 }),
    costUsd: "0.01",
    tokensBefore: 900,
    tokensAfter: 90,
    createdAt: at(5),
  };
  const spans = await send(aRun({ summaries: [made] }));
  expect(spans.map((span) => span.name)).not.toContain("answers given up");
  expect(spans.find((span) => span.name === "summary")?.attributes).toMatchObject({
    "langfuse.observation.model.name": "small",
    "langfuse.observation.output": "They added numbers.",
    "langfuse.observation.cost_details": '{"total":0.01}',
  });
});

test("a model call shows what was new to the model", async () => {
  const spans = await send(aRun());
  const [first, second] = ["step 0", "step 1"].map((name) => spans.find((span) => span.name === name)?.attributes);
  expect(JSON.parse(String(first?.["langfuse.observation.input"]))).toEqual([
    { role: "user", content: "what is 1 + 1?" },
  ]);
  expect(JSON.parse(String(second?.["langfuse.observation.input"]))).toEqual([
    { role: "tool", content: "2", tool_call_id: "c1" },
  ]);
  expect(second).toMatchObject({
    "langfuse.observation.type": "generation",
    "langfuse.observation.model.name": "other",
    "gen_ai.request.model": "other",
    "gen_ai.usage.input_tokens": 100,
  });
});

test("sent again, it is the same trace", async () => {
  const run = aRun();
  const [target] = open();
  await target?.send(run);
  const once = collector.spans();
  await target?.send(run);
  expect(collector.spans()).toEqual(once);
  expect(collector.requests.map(({ spans }) => spans)).toEqual([6, 6]);
});

test("a failed run, a failed call and a call without an end are errors", async () => {
  const [call] = aRun().toolCalls;
  if (!call) throw new Error("the run has a call");
  const spans = await send(
    aRun({
      status: "failed",
      error: { code: "model_refused", message: "The key hunter2hunter2 is wrong." },
      toolCalls: [
        { ...call, isError: true },
        { ...call, id: "c2", endedAt: null, result: null, state: "unknown" },
      ],
    }),
  );
  expect(spans.filter((span) => span.error).map((span) => span.name)).toEqual([
    "agent-run",
    "calculator",
    "calculator",
  ]);
  expect(JSON.stringify(spans)).not.toContain("hunter2");
  expect(spans[0]?.attributes["langfuse.observation.status_message"]).toBe("model_refused: The key [masked] is wrong.");
});

test("secrets, pictures and endless texts stay at home; without content nothing that was said goes out", async () => {
  const picture = `data:image/png;base64,${"A".repeat(400)}`;
  const key = `sk-${"a1".repeat(20)}`;
  const run = aRun({
    requests: [
      message(0, "user", `hunter2hunter2 ${key} ${picture} Bearer ${"x".repeat(30)} ${"long ".repeat(50_000)}`),
    ],
  });
  const sent = JSON.stringify(await send(run));
  for (const secret of ["hunter2", key, "AAAA", "xxxx"]) expect(sent).not.toContain(secret);
  expect(sent.length).toBeLessThan(100_000);
  const silent = { ...run, id: randomUUID() };
  const all = await send(silent, { content: false });
  const own = JSON.stringify(all.filter((span) => span.traceId === silent.id.replaceAll("-", "")));
  expect(own).toContain("calculator");
  expect(own).not.toContain("It is 2.");
  expect(own).not.toContain("1 + 1");
});

test("a run of a thousand steps goes out in requests of a bounded size, complete", async () => {
  const [step] = aRun().steps;
  if (!step) throw new Error("the run has a step");
  const steps = Array.from({ length: 1_000 }, (_, number) => ({ ...step, step: number, startedAt: at(number / 200) }));
  const spans = await send(aRun({ steps, messages: [], toolCalls: [], waits: [] }));
  expect(spans.filter((span) => span.name.startsWith("step "))).toHaveLength(1_000);
  expect(Math.max(...collector.requests.map((request) => request.spans))).toBeLessThanOrEqual(256);
});

test.each(["away", "refuses", "hangs"] as const)(
  "a target that is %s: the sender hears of it, in bounded time",
  async (mood) => {
    const [target] = open({ timeoutMs: 300 });
    collector.mood = mood;
    await expect(target?.send(aRun())).rejects.toBeDefined();
    collector.mood = "fine";
    const run = aRun();
    await target?.send(run);
    const trace = collector.spans().filter((span) => span.traceId === run.id.replaceAll("-", ""));
    expect(trace).toHaveLength(6);
  },
);

test("the same spans go to any collector, with its own headers and without those of Langfuse", async () => {
  const run = aRun();
  await send(run, { langfuse: null, otlp: { url: `${collector.url}/v1/traces`, headers: { "x-team": "ours" } } });
  const [request] = collector.requests;
  expect(request?.path).toBe("/v1/traces");
  expect(request?.headers).toMatchObject({ "x-team": "ours" });
  expect(request?.headers.authorization).toBeUndefined();
  expect(collector.spans().map((span) => span.name)).toContain("calculator");
});

test("nothing configured is no target", () => {
  expect(open({ langfuse: null })).toEqual([]);
});
