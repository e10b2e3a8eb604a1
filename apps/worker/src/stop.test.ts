import { join } from "node:path";
import type { RunEvent } from "@cortex/contracts";
import { aMember, aUser, aWorker, createTestFolder, eventually } from "@cortex/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createWorkplace, type WorkerProcess, type Workplace } from "./testing/worker-fixture.ts";

/*
 * A stop from every state a run can be in, with real workers. The promise is 1 s where a worker is alive, 3 s if the message to it is lost;
 * the bounds here only catch what hangs, because they are tried on busy machines.
 */
const boundMs = 6_000;

/** Short, so that nobody waits long for the end of a dead worker's lease. */
const quick = { RUN_LEASE_MS: "2000", RUN_HEARTBEAT_MS: "300" };

let place: Workplace;
beforeAll(async () => {
  place = await createWorkplace();
});
afterAll(() => place.close());

const untilSeen = (runId: string, type: RunEvent["type"], timeoutMs = 10_000) =>
  eventually(async () => (await place.events(runId)).some((event) => event.type === type), { timeoutMs });

/** One end, in row, log and books alike. */
const expectStopped = async (runId: string) => {
  const row = await place.ended(runId, boundMs);
  expect(row).toMatchObject({ status: "stopped", terminal_writes: 1, error: null });
  const events = await eventually(
    async () => {
      const there = await place.events(runId);
      return there.at(-1)?.type === "run.stopped" ? there : null;
    },
    { timeoutMs: boundMs },
  );
  const ends = events.filter((event) => ["run.completed", "run.failed", "run.stopped"].includes(event.type));
  expect(ends).toEqual([expect.objectContaining({ receipt: row.stop_receipt })]);
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index));
  const { rows } = await place.database.owner.query(
    `select (stop_receipt->>'charged_usd')::numeric = cost_usd as said,
       cost_usd = coalesce((select -sum(amount_usd) from cortex.ledger_entries where run_id = r.id), 0) as booked,
       (select count(*)::int from cortex.tool_calls where run_id = r.id and ended_at is null) as open_calls
     from cortex.agent_runs r where id = $1`,
    [runId],
  );
  expect(rows).toEqual([{ said: true, booked: true, open_calls: 0 }]);
  return { receipt: row.stop_receipt, row, events };
};

const partialOf = async (threadId: string) => {
  const last = (await place.messages(threadId)).at(-1);
  expect(last).toMatchObject({ role: "assistant", status: "interrupted" });
  return last?.text ?? "";
};

const deltasOf = (events: readonly RunEvent[]): string =>
  events.flatMap((event) => (event.type === "message.delta" ? [event.text] : [])).join("");

describe("by one worker", () => {
  let worker: WorkerProcess;
  afterAll(() => worker.signal("SIGKILL"));

  test("waiting for a place, or for a worker: it ends with the wish, and no worker begins it", async () => {
    const waiting = await place.start("never asked");
    expect(await place.stop(waiting.runId)).toMatchObject({ status: "stopped" });
    await aWorker(place.database.owner, { concurrency: 10 });
    const admitted = await place.start("never asked either");
    expect(await place.stop(admitted.runId)).toMatchObject({ status: "stopped" });
    worker = await place.aWorker();
    for (const { runId, threadId } of [waiting, admitted]) {
      const { receipt, events } = await eventually(() => expectStopped(runId), { timeoutMs: 15_000 });
      expect(receipt).toMatchObject({ aborted: [], killed: [], charged_usd: "0" });
      expect(events.map((event) => event.type)).toEqual(["run.queued", "run.stopped"]);
      expect((await place.messages(threadId)).map((message) => message.role)).toEqual(["user"]);
    }
  }, 40_000);

  test("before the first byte", async () => {
    const { runId, threadId } = await place.start("[[hang]]");
    await eventually(() => place.model.requests.some((request) => request.headers["x-cortex-run-id"] === runId));
    await place.stop(runId);
    const { receipt } = await expectStopped(runId);
    expect(receipt).toMatchObject({ aborted: ["model call"], killed: [], charged_usd: "0" });
    expect((await place.messages(threadId)).map((message) => message.role)).toEqual(["user"]);
  });

  test("in mid-stream, by pub/sub and by heartbeat: what was shown is what is kept", async () => {
    for (const stop of [place.stop, place.stopUnheard]) {
      const { runId, threadId } = await place.start("[[tokens=2000]] [[delay=10]]");
      await untilSeen(runId, "message.delta");
      await stop(runId);
      const { receipt, events } = await expectStopped(runId);
      expect(receipt?.aborted).toEqual(["model call"]);
      expect(Number(receipt?.charged_usd)).toBeGreaterThan(0);
      expect(deltasOf(events)).toBe(await partialOf(threadId));
      expect(events.at(-1)).toMatchObject({ usage: { estimated: true } });
    }
  }, 30_000);

  test("in a tool: its processes are killed and counted, later calls of the answer never begin", async () => {
    const { runId, threadId } = await place.start(
      '[[parallel]] [[tool=execute_command {"command":"sleep 600 & echo begun; wait"}]] [[tool=execute_command {"command":"echo never"}]]',
    );
    await untilSeen(runId, "tool_call.output", 20_000);
    await place.stop(runId);
    const { receipt, events } = await expectStopped(runId);
    const calls = events.filter((event) => event.type === "tool_call.completed");
    expect(calls).toMatchObject([
      { effect_state: "unknown" },
      { effect_state: expect.not.stringMatching("unknown") as string },
    ]);
    expect(calls[1]?.result).toContain("not started");
    expect(receipt).toMatchObject({
      aborted: ["tool call execute_command"],
      killed: [
        {
          tool_call_id: calls[0]?.tool_call_id,
          name: "execute_command",
          command: "sleep 600 & echo begun; wait",
        },
      ],
    });
    // Two processes where there are any.
    const [killed] = receipt?.killed ?? [];
    expect([2, null]).toContain(killed?.processes);
    expect((await place.messages(threadId)).map((message) => message.role)).toEqual([
      "user",
      "assistant",
      "tool",
      "tool",
    ]);

    // The thread goes on, with all it knows.
    const next = await place.start("[[say=here I am]]", { threadId });
    expect(await place.ended(next.runId)).toMatchObject({ status: "completed" });
  }, 40_000);

  test("twice, by two members at once, and after the end", async () => {
    const colleague = await aUser(place.database.owner);
    await aMember(place.database.owner, { accountId: place.user.accountId, userId: colleague.userId, role: "member" });
    const { runId } = await place.start("[[tokens=2000]] [[delay=10]]");
    await untilSeen(runId, "message.delta");
    const answers = await Promise.all([place.stop(runId), place.stop(runId, colleague.userId), place.stop(runId)]);
    const { row } = await expectStopped(runId);
    const asked = row.stop_requested_at?.toISOString();
    expect(new Set(answers.map((answer) => answer?.stop_requested_at))).toEqual(new Set([asked]));
    expect(await place.stop(runId, colleague.userId)).toEqual({ status: "stopped", stop_requested_at: asked });

    const done = await place.start("[[say=quick]]");
    expect(await place.ended(done.runId)).toMatchObject({ status: "completed" });
    expect(await place.stop(done.runId)).toEqual({ status: "completed", stop_requested_at: null });
    expect(await place.rowOf(done.runId)).toMatchObject({ status: "completed", stop_receipt: null });
  }, 20_000);

  test("with Redis away altogether: it ends in time, and the log when Redis is back", async () => {
    const { runId, threadId } = await place.start("[[tokens=4000]] [[delay=10]]");
    await untilSeen(runId, "message.delta");
    await place.redis.kill();
    await place.stop(runId);
    expect(await place.ended(runId, boundMs)).toMatchObject({ status: "stopped", terminal_writes: 1 });
    expect(await partialOf(threadId)).toMatch(/^w1 /);
    await place.redis.start();
    const { row } = await eventually(() => expectStopped(runId), { timeoutMs: 30_000 });
    expect(row.stop_receipt?.aborted).toEqual(["model call"]);
    await eventually(async () => (await place.rowOf(runId)).log_cursor !== null, { timeoutMs: 15_000 });
  }, 60_000);
});

describe("at the seams", () => {
  // A worker takes a second to come up, so the next test goes on with the one that is left.
  let worker: WorkerProcess;
  beforeAll(async () => {
    const FAILPOINTS_FILE = join(createTestFolder(), "hits");
    const FAILPOINTS = "model.before=delay:2500@2,model.after=delay:1000@2";
    worker = await place.aWorker({ ...quick, FAILPOINTS, FAILPOINTS_FILE });
  }, 40_000);
  afterAll(() => worker.signal("SIGKILL"));

  test("between two steps no model is asked again; with the answer whole, the run has completed", async () => {
    const between = await place.start('[[tool=calculator {"expression":"6*7"}]]');
    await untilSeen(between.runId, "step.completed", 15_000);
    await place.stop(between.runId);
    const { receipt } = await expectStopped(between.runId);
    expect(receipt).toMatchObject({ aborted: [], killed: [] });
    expect((await place.messages(between.threadId)).map((message) => message.role)).toEqual([
      "user",
      "assistant",
      "tool",
    ]);
    const whole = await place.start("[[say=all of it]]");
    await untilSeen(whole.runId, "message.delta", 15_000);
    await place.stop(whole.runId);
    expect(await place.ended(whole.runId, 15_000)).toMatchObject({ status: "completed", stop_receipt: null });
    expect((await place.messages(whole.threadId)).at(-1)).toMatchObject({ status: "complete", text: "all of it" });
  }, 60_000);

  test("with its worker dead, before the wish or after it: granted when the lease is over", async () => {
    const prompts = ["[[tokens=2000]] [[delay=10]]", '[[tool=execute_command {"command":"echo begun; sleep 600"}]]'];
    const runs = await Promise.all(prompts.map((prompt) => place.start(prompt)));
    await untilSeen(runs[0]?.runId ?? "", "message.delta");
    await untilSeen(runs[1]?.runId ?? "", "tool_call.output", 20_000);
    await place.stopUnheard(runs[0]?.runId ?? "");
    worker.signal("SIGKILL");
    await place.stop(runs[1]?.runId ?? "");
    worker = await place.aWorker(quick);
    const [streaming, acting] = await Promise.all(
      runs.map(({ runId }) => eventually(() => expectStopped(runId), { timeoutMs: 20_000 })),
    );
    // By the sweeper, or by a worker that got it once more only to end it.
    for (const ended of [streaming, acting]) expect([["lost worker"], []]).toContainEqual(ended?.receipt?.aborted);
    // What was only streamed is void, and said to be.
    const taken = streaming?.events.filter(({ type }) => type === "message.discarded" || type === "attempt.started");
    expect(taken).not.toHaveLength(0);
    expect((await place.messages(runs[0]?.threadId ?? "")).map((message) => message.role)).toEqual(["user"]);
    // What began is unknown, and the conversation has its result.
    const call = acting?.events.find((event) => event.type === "tool_call.completed");
    expect(call).toMatchObject({ effect_state: "unknown", is_error: true });
    expect((await place.messages(runs[1]?.threadId ?? "")).map((message) => message.role)).toEqual([
      "user",
      "assistant",
      "tool",
    ]);
  }, 60_000);

  test("while its worker hands it over", async () => {
    const { runId } = await place.start("[[tokens=2000]] [[delay=10]]");
    await untilSeen(runId, "message.delta");
    const first = worker;
    worker = await place.aWorker(quick);
    await Promise.all([first.stop(), place.stop(runId)]);
    await expectStopped(runId);
  }, 40_000);
});
