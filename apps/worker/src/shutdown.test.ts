import { createFaultProxy, eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { createWorkplace, type WorkerProcess, type Workplace } from "./testing/worker-fixture.ts";

let place: Workplace;
beforeAll(async () => {
  place = await createWorkplace();
});
afterAll(() => place.close());

/** > what each goodbye to a Redis that is away may take (2 s), and their sum. */
const shutdownMs = 12_000;
const impatient = { SHUTDOWN_TIMEOUT_MS: String(shutdownMs) };
/** What a busy machine may add to a bound that the process keeps. */
const slackMs = 6_000;

const heldBy = async (worker: WorkerProcess): Promise<number> => {
  const { rows } = await place.database.owner.query<{ n: number }>(
    "select count(*)::int as n from cortex.agent_runs where worker_id = $1 and status = 'running' and lease_until > now()",
    [worker.id],
  );
  return rows[0]?.n ?? 0;
};

const aWorker = async (env: Record<string, string>): Promise<WorkerProcess> => {
  const worker = await place.aWorker(env);
  onTestFinished(() => worker.signal("SIGKILL"));
  return worker;
};

/** The network between one worker and a service. */
const aProxy = async (url: string) => {
  const proxy = await createFaultProxy({ host: "127.0.0.1", port: Number(new URL(url).port) });
  onTestFinished(() => proxy.close());
  return proxy;
};

test("twenty runs change hands when their worker is told to go: at once, each once, without an attempt that counts", async () => {
  // Nothing but the hand-over itself is quick: the sweep and the queue's lock take 15 s.
  const settings = { WORKER_CONCURRENCY: "20", RUN_SWEEP_MS: "15000" };
  const first = await aWorker(settings);
  const kinds = [
    "[[tokens=160]] [[delay=50]]",
    '[[tool=calculator {"expression":"6*7"}]] [[tokens=160]] [[delay=50]]',
    '[[tool=execute_command {"command":"sleep 9"}]] [[tokens=5]]',
    "[[hang*1]]",
  ];
  const runs = await Promise.all(Array.from({ length: 20 }, (_, n) => place.start(`${kinds[n % kinds.length]} ${n}`)));
  await eventually(async () => (await heldBy(first)) === 20, { timeoutMs: 20_000 });
  const second = await aWorker(settings);
  const toldAt = performance.now();
  first.signal("SIGTERM");
  // A terminal and a supervisor often both send one.
  first.signal("SIGINT");
  // The bar is 2 s on a machine that has nothing else to do.
  const waiting = "select count(*)::int as n from cortex.agent_runs where worker_id = $1 and status = 'running'";
  await eventually(
    async () => (await place.database.owner.query<{ n: number }>(waiting, [first.id])).rows[0]?.n === 0,
    { timeoutMs: 10_000 },
  );
  const changedMs = performance.now() - toldAt;
  expect(await first.ended()).toEqual({ code: 0, signal: null });
  expect(changedMs).toBeLessThan(10_000);
  for (const { runId } of runs) {
    expect(await place.ended(runId, 40_000)).toMatchObject({ status: "completed", terminal_writes: 1 });
    const events = await place.expectWholeLog(runId);
    const calls = events.flatMap((event) => (event.type === "tool_call.completed" ? event.tool_call_id : []));
    expect(new Set(calls).size).toBe(calls.length);
  }
  const counted = await place.database.owner.query(
    "select max(attempt) <= 3 as few, max(attempts_since_step) <= 1 as none_counted from cortex.agent_runs where id = any($1)",
    [runs.map(({ runId }) => runId)],
  );
  expect(counted.rows).toEqual([{ few: true, none_counted: true }]);
  expect((await second.stop()).code).toBe(0);
}, 120_000);

test.each(["redis", "postgres"] as const)(
  "told to go while %s is away: the worker ends in time, and its run is taken up by another",
  async (which) => {
    const url = which === "redis" ? place.redis.url : place.database.workerUrl;
    const proxy = await aProxy(url);
    const leaving = await aWorker({
      ...impatient,
      RUN_LEASE_MS: "3000",
      RUN_SWEEP_MS: "500",
      [which === "redis" ? "REDIS_URL" : "DATABASE_URL"]: proxy.through(url),
    });
    const { runId } = await place.start("[[tokens=100]] [[delay=50]]");
    await eventually(async () => (await heldBy(leaving)) === 1, { timeoutMs: 15_000 });
    await proxy.set("refuse");
    const toldAt = performance.now();
    leaving.signal("SIGTERM");
    const ended = await leaving.ended();
    expect(performance.now() - toldAt).toBeLessThan(shutdownMs + slackMs);
    // Without Redis the run is handed over all the same, in Postgres.
    expect(ended).toEqual({ code: which === "redis" ? 0 : 1, signal: null });
    const next = await aWorker({ RUN_LEASE_MS: "3000", RUN_SWEEP_MS: "500" });
    expect(await place.ended(runId, 40_000)).toMatchObject({ status: "completed", worker_id: next.id });
    await place.expectWholeLog(runId);
    await next.stop();
  },
  120_000,
);

test("a worker that was stopped beyond its lease writes nothing more, says one line, and goes on with new work", async () => {
  const short = { RUN_LEASE_MS: "3000", RUN_HEARTBEAT_MS: "200", RUN_SWEEP_MS: "500", QUEUE_LOCK_MS: "3000" };
  const quick = { ...short, QUEUE_STALLED_MS: "1000" };
  const zombie = await aWorker(quick);
  const { runId } = await place.start('[[tool=calculator {"expression":"6*7"}]] [[tokens=60]] [[delay=50]]');
  await eventually(async () => (await place.events(runId)).some((event) => event.type === "message.delta"), {
    timeoutMs: 15_000,
  });
  zombie.signal("SIGSTOP");
  const other = await aWorker(quick);
  await eventually(async () => (await place.rowOf(runId)).worker_id === other.id, { timeoutMs: 20_000 });
  zombie.signal("SIGCONT");
  expect(await place.ended(runId, 30_000)).toMatchObject({
    status: "completed",
    worker_id: other.id,
    terminal_writes: 1,
  });
  const events = await place.expectWholeLog(runId);
  expect(events.filter((event) => event.type === "attempt.started")).toHaveLength(1);
  const said = zombie
    .output()
    .split("\n")
    .filter((line) => line.includes(runId));
  expect(said.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
    expect.stringMatching(/superseded; let go|the lease was lost; let go/),
  ]);
  expect(zombie.output()).not.toMatch(/Missing lock|could not renew lock/);
  await other.stop();
  const next = await place.start("hello");
  expect(await place.ended(next.runId, 20_000)).toMatchObject({ status: "completed", worker_id: zombie.id });
  await zombie.stop();
}, 120_000);
