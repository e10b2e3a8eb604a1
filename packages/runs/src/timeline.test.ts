import { addUsd, noUsage, Step } from "@cortex/contracts";
import { asUser, type Database, openDatabase } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import {
  aMessage,
  aRun,
  aThread,
  aUser,
  createTestDatabase,
  type TestDatabase,
  type TestRun,
  type TestThread,
  type TestUser,
} from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { getTimeline } from "./timeline.ts";

let database: TestDatabase;
let api: Database;
let user: TestUser;
beforeAll(async () => {
  database = await createTestDatabase();
  api = openDatabase({ url: database.apiUrl, poolSize: 4, name: "test", log: silentLogger() });
  user = await aUser(database.owner);
});
afterAll(async () => {
  await api.close();
  await database.drop();
});

const read = async (run: TestRun, who: TestUser = user) => {
  const steps = await asUser(api.db, { userId: who.userId, accountId: null, snapshot: true }, (tx) =>
    getTimeline(tx, run),
  );
  expect(Step.array().nullable().parse(steps)).toEqual(steps);
  return steps;
};
const types = async (run: TestRun) => (await read(run))?.map(({ type }) => type);

/** The row of a model call. */
const aStep = (run: TestRun, step: number, costUsd = "0.01", attempt = 1) =>
  database.owner.query(
    `insert into cortex.run_steps (run_id, step, account_id, attempt, model, usage, cost_usd, seen_seq, started_at)
     values ($1, $2, $3, $4, 'demo', $5, $6, 0, now() - interval '1 minute')`,
    [run.runId, step, run.accountId, attempt, JSON.stringify({ ...noUsage, input_tokens: 10 + step }), costUsd],
  );

/** A model call that asks for tools, with a row for each call; those with a result have ended. */
const aThought = async (
  run: TestRun,
  step: number,
  calls: { id: string; name?: string; effect?: string; state?: string; result?: string; isError?: boolean }[],
) => {
  const toolCalls = calls.map(({ id, name }) => ({ id, name: name ?? "calculator", arguments: { expression: id } }));
  await aMessage(database.owner, { ...run, step, role: "assistant", text: `thinking ${step}`, toolCalls });
  await aStep(run, step);
  for (const [position, call] of calls.entries()) {
    await database.owner.query(
      `insert into cortex.tool_calls (run_id, call_id, account_id, step, position, name, arguments, effect, state, attempt, result, is_error, ended_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, $10::text, $11, case when $10::text is not null then now() end)`,
      [
        run.runId,
        call.id,
        run.accountId,
        step,
        position,
        call.name ?? "calculator",
        JSON.stringify({ expression: call.id }),
        call.effect ?? "pure",
        call.state ?? (call.result === undefined ? "started" : "done"),
        call.result ?? null,
        call.isError ?? false,
      ],
    );
  }
  for (const { id, result } of calls) {
    if (result !== undefined) {
      await aMessage(database.owner, { ...run, step, role: "tool", text: result, toolCallId: id });
    }
  }
};

const anAnswer = async (run: TestRun, step: number, text: string) => {
  await aMessage(database.owner, { ...run, step, role: "assistant", text });
  await aStep(run, step);
};

const aRunOn = async (thread: TestThread, prompt: string, status: "running" | "completed" = "running") => {
  await aMessage(database.owner, { threadId: thread.threadId, text: prompt });
  return aRun(database.owner, { thread, status });
};

const end = (run: TestRun) =>
  database.owner.query("update cortex.agent_runs set status = 'completed', attempt = attempt + 1 where id = $1", [
    run.runId,
  ]);

test("the calculator scenario: eight entries in order, with timing, usage and cost", async () => {
  const thread = await aThread(database.owner, { accountId: user.accountId });
  const run = await aRunOn(thread, "What is 5 + 10, then multiply by 3?");
  await aThought(run, 0, [{ id: "5 + 10", result: "15" }]);
  await aThought(run, 1, [{ id: "15 * 3", result: "45" }]);
  await anAnswer(run, 2, "It is 45.");
  await end(run);

  const steps = (await read(run)) ?? [];
  expect(steps.map(({ order, type }) => [order, type])).toEqual([
    [0, "user-request"],
    [1, "agent-thought"],
    [2, "tool-call"],
    [3, "tool-result"],
    [4, "agent-thought"],
    [5, "tool-call"],
    [6, "tool-result"],
    [7, "agent-response"],
  ]);
  expect(steps[0]?.content).toMatchObject({ parts: [{ type: "text", text: "What is 5 + 10, then multiply by 3?" }] });
  expect(steps[2]).toMatchObject({
    tool_name: "calculator",
    attempt: 1,
    content: { tool_call_id: "5 + 10", arguments: { expression: "5 + 10" } },
  });
  expect(steps[3]?.content).toEqual({ tool_call_id: "5 + 10", result: "15", is_error: false, effect_state: "none" });
  expect(steps[7]).toMatchObject({
    content: { parts: [{ text: "It is 45." }], status: "complete" },
    usage: { input_tokens: 12 },
  });
  expect(addUsd(...steps.flatMap((step) => (step.cost_usd === undefined ? [] : [step.cost_usd])))).toBe("0.03");
  expect(steps.every((step) => step.ended_at !== null && step.started_at <= step.ended_at)).toBe(true);
});

test("parallel calls stand in the order in which the model asked; those under way have no result yet", async () => {
  const thread = await aThread(database.owner, { accountId: user.accountId });
  const run = await aRunOn(thread, "Do three things");
  await aThought(run, 0, [
    { id: "a", name: "read_file", result: "A" },
    { id: "b", name: "execute_command", effect: "once" },
    { id: "c", name: "execute_command", effect: "once", state: "unknown", result: "it is not known", isError: true },
  ]);
  const steps = (await read(run)) ?? [];
  expect(steps.map(({ type, content }) => [type, (content as { tool_call_id?: string }).tool_call_id])).toEqual([
    ["user-request", undefined],
    ["agent-thought", undefined],
    ["tool-call", "a"],
    ["tool-call", "b"],
    ["tool-call", "c"],
    ["tool-result", "a"],
    ["tool-result", "c"],
  ]);
  expect(steps[3]?.ended_at).toBeNull();
  expect(steps[6]?.content).toMatchObject({ is_error: true, effect_state: "unknown" });
});

test("a run that has not begun shows what it was asked; one that was cut shows how far it came", async () => {
  const thread = await aThread(database.owner, { accountId: user.accountId });
  const run = await aRunOn(thread, "Tell me a long story");
  expect(await types(run)).toEqual(["user-request"]);
  const { messageId } = await aMessage(database.owner, { ...run, step: 0, role: "assistant", text: "Once upon" });
  await database.owner.query("update cortex.messages set status = 'interrupted' where id = $1", [messageId]);
  const steps = await read(run);
  expect(steps?.at(-1)).toMatchObject({ type: "agent-response", content: { status: "interrupted" }, attempt: 1 });
  expect(steps?.at(-1)).not.toHaveProperty("usage");
});

test("each run of a thread shows what it was asked itself, and what was posted while it went on", async () => {
  const thread = await aThread(database.owner, { accountId: user.accountId });
  const asked = async (run: TestRun) =>
    (await read(run))?.flatMap(({ type, content }) =>
      type === "user-request" ? (content as { parts: { text: string }[] }).parts.map(({ text }) => text) : [],
    );
  await aMessage(database.owner, { threadId: thread.threadId, text: "one" });
  const first = await aRunOn(thread, "two");
  await aThought(first, 0, [{ id: "x", result: "X" }]);
  await aMessage(database.owner, { threadId: thread.threadId, text: "and also" });
  await anAnswer(first, 1, "done");
  await end(first);
  expect(await types(first)).toEqual([
    "user-request",
    "user-request",
    "agent-thought",
    "tool-call",
    "tool-result",
    "user-request",
    "agent-response",
  ]);

  // It ends without a word: what it was asked is asked of the next one, too.
  const second = await aRunOn(thread, "three");
  await end(second);
  const third = await aRunOn(thread, "four");
  await anAnswer(third, 0, "done");
  await end(third);
  await aMessage(database.owner, { threadId: thread.threadId, text: "later" });
  expect(await asked(first)).toEqual(["one", "two", "and also"]);
  expect(await asked(second)).toEqual(["three"]);
  expect(await asked(third)).toEqual(["three", "four"]);
});

test("the timeline of another account's run, or of a deleted project's, is missing", async () => {
  const foreign = await aRun(database.owner);
  expect(await read(foreign)).toBeNull();
  const orphan = await aRun(database.owner, { accountId: user.accountId, status: "completed" });
  await database.owner.query("update cortex.projects set deleted_at = now() where id = $1", [orphan.projectId]);
  expect(await read(orphan)).toBeNull();
});
