import { aMessage, eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWorkplace, type Workplace } from "./testing/worker-fixture.ts";

let place: Workplace;
beforeAll(async () => {
  place = await createWorkplace();
  await place.aWorker();
});
afterAll(() => place.close());

const lastAnswer = async (threadId: string) => (await place.messages(threadId)).at(-1)?.text ?? "";

test("the calculator scenario: two calls, the answer is 45, and the log is whole", async () => {
  const { runId, threadId } = await place.start("What is 5 + 10, then multiply by 3?");
  expect(await place.ended(runId)).toMatchObject({ status: "completed", attempt: 2, terminal_writes: 1 });
  expect(await lastAnswer(threadId)).toContain("45");
  const events = await place.events(runId);
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index));
  const calls = events.filter((event) => event.type === "tool_call.completed");
  expect(calls.map((call) => [call.name, call.is_error])).toEqual([
    ["calculator", false],
    ["calculator", false],
  ]);
  expect(events.filter((event) => event.type === "run.completed")).toHaveLength(1);
  // What was streamed is what is stored.
  const streamed = new Map<string, string>();
  const stored = new Map<string, string>();
  for (const event of events) {
    if (event.type === "message.delta") {
      streamed.set(event.message_id, (streamed.get(event.message_id) ?? "") + event.text);
    }
    if (event.type === "message.completed" && event.message.role === "assistant") {
      const text = event.message.content.map((part) => (part.type === "text" ? part.text : "")).join("");
      if (text !== "") stored.set(event.message.id, text);
    }
  }
  expect(stored.size).toBeGreaterThan(0);
  expect(streamed).toEqual(stored);
  await eventually(async () => (await place.rowOf(runId)).log_cursor !== null);
  expect((await place.rowOf(runId)).log_cursor).toBe(`1.${events.length - 1}`);
});

test("a file is written in the sandbox and shown, and the project's next run finds it", async () => {
  const first = await place.start('[[tool=create_file {"path":"notes.txt","content":"kept between runs"}]]');
  expect(await place.ended(first.runId)).toMatchObject({ status: "completed" });
  const second = await place.start('[[tool=execute_command {"command":"cat notes.txt; id -u; exit 3"}]]', {
    threadId: first.threadId,
  });
  expect(await place.ended(second.runId)).toMatchObject({ status: "completed" });
  const result = (await place.events(second.runId)).find((event) => event.type === "tool_call.completed");
  expect(result).toMatchObject({ name: "execute_command" });
  expect(result?.type === "tool_call.completed" && result.result).toContain("kept between runs");
  const sandboxes = await place.database.owner.query("select count(*)::int as n from cortex.sandboxes");
  expect(sandboxes.rows).toEqual([{ n: 1 }]);
});

test.for([
  ["[[fail=401]]", "model_auth"],
  ["[[fail=budget]]", "model_budget"],
  ["[[garbage]]", "model_malformed"],
  ["[[fail=context]]", "context_overflow"],
  ["[[fail=policy]]", "model_refused"],
  ["[[finish=length]] [[tokens=3]]", "output_truncated"],
  ['[[loop=calculator {"expression":"1+1"}]]', "repeated_tool_call"],
] as const)("%s ends the run as %s, and the stream says so", async ([prompt, code]) => {
  const { runId } = await place.start(prompt);
  expect(await place.ended(runId)).toMatchObject({ status: "failed", error: { code } });
  await eventually(async () => {
    expect((await place.events(runId)).at(-1)).toMatchObject({ type: "run.failed", error: { code } });
    return true;
  });
});

test("trouble that passes is waited out: 429, a cut stream, an empty answer", async () => {
  for (const prompt of ["[[fail=429*1]] [[retry-after=0]]", "[[cut=2*1]]", "[[empty*1]]"]) {
    const { runId } = await place.start(`${prompt} ${crypto.randomUUID()}`);
    expect({ prompt, ...(await place.ended(runId, 20_000)) }).toMatchObject({ prompt, status: "completed" });
  }
});

test("unknown tools and malformed arguments are results, not ends", async () => {
  for (const prompt of ['[[tool=no_such_tool {"a":1}]]', "[[badargs=calculator]]"]) {
    const { runId } = await place.start(prompt);
    expect(await place.ended(runId)).toMatchObject({ status: "completed" });
    const call = (await place.events(runId)).find((event) => event.type === "tool_call.completed");
    expect(call).toMatchObject({ is_error: true });
  }
});

test("a model without tool calls of its own uses tools all the same", async () => {
  const content = "007\n</arg> <call name=x> & more";
  const { runId, threadId } = await place.start(
    `[[tool=create_file ${JSON.stringify({ path: "in-text.txt", content })}]] [[tool=read_file {"path":"in-text.txt"}]] [[badargs=calculator]]`,
    { model: "demo-xml" },
  );
  expect(await place.ended(runId)).toMatchObject({ status: "completed" });
  const [written, read, broken] = (await place.events(runId)).filter((event) => event.type === "tool_call.completed");
  expect(written).toMatchObject({ name: "create_file", is_error: false, effect_state: "done" });
  expect(read?.type === "tool_call.completed" && read.result).toContain("</arg> <call name=x> & more");
  expect(broken).toMatchObject({ name: "calculator", is_error: true, effect_state: "none" });
  // The tags are the engine's own affair: nobody reads them in the thread.
  const texts = (await place.messages(threadId))
    .map((message) => message.text ?? "")
    .filter((text) => text !== content);
  expect(texts.join("\n")).not.toMatch(/<(call|arg|result)-/);
});

test("tools are narrowed by the run", async () => {
  const { runId } = await place.start('[[tool=calculator {"expression":"1+1"}]]', { tools: ["read_file"] });
  await place.ended(runId);
  const call = (await place.events(runId)).find((event) => event.type === "tool_call.completed");
  expect(call).toMatchObject({ is_error: true });
});

test("a stop in mid-stream keeps the partial text, marked, and does not wait for the rest", async () => {
  const { runId, threadId } = await place.start("[[tokens=500]] [[delay=20]]");
  await eventually(async () => (await place.events(runId)).some((event) => event.type === "message.delta"));
  const askedAt = performance.now();
  expect(await place.stop(runId)).toMatchObject({ status: "running" });
  expect(await place.ended(runId)).toMatchObject({ status: "stopped", stop_receipt: { aborted: ["model call"] } });
  // The bar is 1 s on a machine that has nothing else to do; the whole answer takes 10 s.
  expect(performance.now() - askedAt).toBeLessThan(7_000);
  const partial = (await place.messages(threadId)).at(-1);
  expect(partial).toMatchObject({ role: "assistant", status: "interrupted" });
  expect(partial?.text?.length).toBeGreaterThan(0);
  const { rows } = await place.database.owner.query(
    `select cost_usd > 0 as paid, (stop_receipt->>'charged_usd')::numeric = cost_usd as said,
       cost_usd = (select -sum(amount_usd) from cortex.ledger_entries where run_id = agent_runs.id) as booked
     from cortex.agent_runs where id = $1`,
    [runId],
  );
  expect(rows).toEqual([{ paid: true, said: true, booked: true }]);
  await eventually(async () => (await place.events(runId)).at(-1)?.type === "run.stopped");
});

test("a stop kills a command in the sandbox", async () => {
  const { runId } = await place.start('[[tool=execute_command {"command":"echo begun; sleep 30"}]]');
  await eventually(async () => (await place.events(runId)).some((event) => event.type === "tool_call.output"));
  await place.stop(runId);
  expect(await place.ended(runId, 3_000)).toMatchObject({
    status: "stopped",
    stop_receipt: { aborted: ["tool call execute_command"] },
  });
  const call = (await place.events(runId)).find((event) => event.type === "tool_call.completed");
  expect(call).toMatchObject({ effect_state: "unknown", is_error: true });
});

test("a message posted during a run is taken up at its next step", async () => {
  const { runId, threadId } = await place.start('[[tool=execute_command {"command":"sleep 0.5"}]]');
  await eventually(async () => (await place.events(runId)).some((event) => event.type === "tool_call.started"));
  await aMessage(place.database.owner, { threadId, text: "[[say=heard you]]" });
  expect(await place.ended(runId)).toMatchObject({ status: "completed" });
  expect(await lastAnswer(threadId)).toContain("heard you");
});

test("a message posted during the last answer is answered before the run ends", async () => {
  const { runId, threadId } = await place.start("[[tokens=30]] [[delay=20]]");
  await eventually(async () => (await place.events(runId)).some((event) => event.type === "message.delta"));
  await aMessage(place.database.owner, { threadId, text: "[[say=heard you too]]" });
  expect(await place.ended(runId)).toMatchObject({ status: "completed" });
  expect(await lastAnswer(threadId)).toContain("heard you too");
  const steps = (await place.events(runId)).filter((event) => event.type === "step.started");
  expect(steps.map((event) => event.step)).toEqual([0, 1]);
});

test("a budget ends the run", async () => {
  const { runId } = await place.start("[[tokens=400]]", { maxCostUsd: "0.0000001" });
  expect(await place.ended(runId)).toMatchObject({ status: "failed", error: { code: "budget_exceeded" } });
});
