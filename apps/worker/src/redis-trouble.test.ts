import { createFaultProxy, eventually } from "@cortex/testing";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { createWorkplace, type WorkerProcess, type Workplace } from "./testing/worker-fixture.ts";

let place: Workplace;
/** Of the first tests; gone before the others, which want workers of their own. */
let worker: WorkerProcess;
beforeAll(async () => {
  place = await createWorkplace();
  worker = await place.aWorker({ WORKER_CONCURRENCY: "2" });
});
afterAll(() => place.close());

/** The bar is 300 ms on a machine that has nothing else to do. */
const startBoundMs = 3_000;

const says = async (runId: string, type: string) => (await place.events(runId)).some((event) => event.type === type);

const startsInTime = async (prompt: string) => {
  const before = performance.now();
  const started = await place.start(prompt);
  expect(performance.now() - before).toBeLessThan(startBoundMs);
  return started;
};

const aClient = (): Redis => {
  const client = new Redis(place.redis.url);
  onTestFinished(() => client.disconnect());
  return client;
};

test("Redis is killed while runs stream, act, and wait: starts go on, those under way finish, the others are taken up, and each log is whole", async () => {
  const streaming = await place.start("[[tokens=60]] [[delay=50]]");
  const acting = await place.start('[[tool=execute_command {"command":"sleep 2"}]] [[tokens=10]]');
  const waiting = [await place.start("hello"), await place.start('[[tool=calculator {"expression":"6*7"}]]')];
  await eventually(() => says(streaming.runId, "message.delta"), { timeoutMs: 15_000 });
  await eventually(() => says(acting.runId, "tool_call.started"), { timeoutMs: 15_000 });
  await place.redis.kill();
  const started = [await startsInTime("hello"), await startsInTime("hello")];
  for (const { runId } of [streaming, acting]) {
    expect(await place.ended(runId, 40_000)).toMatchObject({ status: "completed", terminal_writes: 1 });
  }
  expect((await worker.ask("/ready")).status).toBe(503);
  expect((await worker.ask("/health")).status).toBe(200);
  await place.redis.start();
  for (const { runId } of [...waiting, ...started]) {
    expect(await place.ended(runId, 20_000)).toMatchObject({ status: "completed", terminal_writes: 1 });
  }
  for (const { runId } of [streaming, acting, ...waiting, ...started]) {
    await place.expectWholeLog(runId);
    // Nobody was broken off: one attempt, and the one that its end adds.
    expect(await place.rowOf(runId)).toMatchObject({ attempt: 2 });
  }
  await eventually(async () => (await worker.ask("/ready")).status === 200);
}, 120_000);

test("Redis is emptied while runs stream, act, and wait: none is lost, and each log is whole after one resync", async () => {
  const streaming = await place.start("[[tokens=60]] [[delay=50]]");
  const acting = await place.start('[[tool=execute_command {"command":"sleep 2"}]] [[tokens=10]]');
  const waiting = [await place.start("hello"), await place.start("hello")];
  await eventually(() => says(streaming.runId, "message.delta"), { timeoutMs: 15_000 });
  await eventually(() => says(acting.runId, "tool_call.started"), { timeoutMs: 15_000 });
  await aClient().flushall();
  for (const { runId } of [streaming, acting, ...waiting]) {
    expect(await place.ended(runId, 40_000)).toMatchObject({ status: "completed", attempt: 2, terminal_writes: 1 });
  }
  for (const { runId } of [streaming, acting]) {
    expect((await place.expectWholeLog(runId))[0]).toMatchObject({ type: "resync" });
    expect((await place.rowOf(runId)).log_cursor).toMatch(/^2\./);
  }
  for (const { runId } of waiting) await place.expectWholeLog(runId);
}, 120_000);

test("Redis is full: starts go on, runs under way finish, the worker says so and burns nothing, and all goes on by itself", async () => {
  const running = await place.start('[[tool=execute_command {"command":"sleep 1"}]] [[tokens=40]] [[delay=50]]');
  await eventually(() => says(running.runId, "tool_call.started"), { timeoutMs: 15_000 });
  const client = aClient();
  const refusals = async () => Number(/errorstat_OOM:count=(\d+)/.exec(await client.info("errorstats"))?.[1] ?? 0);
  await client.config("SET", "maxmemory", "1");
  const started = [await startsInTime("hello"), await startsInTime("hello")];
  const before = { refusals: await refusals(), at: performance.now() };
  expect(await place.ended(running.runId, 40_000)).toMatchObject({ status: "completed", attempt: 2 });
  await eventually(
    async () => {
      const { status, body } = await worker.ask("/ready");
      expect(status).toBe(503);
      expect(JSON.stringify(body)).toContain("OOM");
      return performance.now() - before.at > 3_000;
    },
    { timeoutMs: 20_000 },
  );
  expect((await worker.ask("/health")).status).toBe(200);
  const perSecond = ((await refusals()) - before.refusals) / ((performance.now() - before.at) / 1_000);
  expect(perSecond).toBeLessThan(50);
  await client.config("SET", "maxmemory", "0");
  for (const { runId } of started) expect(await place.ended(runId, 20_000)).toMatchObject({ status: "completed" });
  for (const { runId } of [running, ...started]) await place.expectWholeLog(runId);
  await eventually(async () => (await worker.ask("/ready")).status === 200);
}, 120_000);

test("one worker is cut off from Redis alone: its run finishes under its lease though its job is given to another", async () => {
  await worker.stop();
  const { hostname, port } = new URL(place.redis.url);
  const proxy = await createFaultProxy({ host: hostname, port: Number(port) });
  onTestFinished(() => proxy.close());
  const short = { QUEUE_LOCK_MS: "1000", QUEUE_STALLED_MS: "500" };
  const cut = await place.aWorker({ ...short, REDIS_URL: proxy.through(place.redis.url) });
  const { runId } = await place.start('[[tool=execute_command {"command":"sleep 2"}]] [[tokens=20]] [[delay=50]]');
  await eventually(() => says(runId, "tool_call.started"), { timeoutMs: 15_000 });
  const other = await place.aWorker(short);
  await proxy.set("blackhole");
  const row = await place.ended(runId, 40_000);
  expect(row).toMatchObject({ status: "completed", attempt: 2, worker_id: cut.id, terminal_writes: 1 });
  // Another closes the log, from what Postgres holds.
  const events = await place.expectWholeLog(runId);
  expect(events.filter((event) => event.type === "tool_call.completed")).toHaveLength(1);
  expect(other.output()).not.toContain(runId);
  await proxy.set("pass");
  expect((await cut.stop()).code).toBe(0);
  await other.stop();
  expect(cut.output()).not.toMatch(/Missing lock|could not renew lock/);
}, 120_000);

test("a worker may be started before Postgres and Redis, and works when they come", async () => {
  const [database, redis] = await Promise.all(
    [place.database.workerUrl, place.redis.url].map((url) =>
      createFaultProxy({ host: "127.0.0.1", port: Number(new URL(url).port) }),
    ),
  );
  if (!database || !redis) throw new Error("no proxies");
  onTestFinished(async () => {
    await Promise.all([database.close(), redis.close()]);
  });
  await Promise.all([database.set("refuse"), redis.set("refuse")]);
  const late = await place.aWorker(
    {
      DATABASE_URL: database.through(place.database.workerUrl),
      REDIS_URL: redis.through(place.redis.url),
    },
    { waits: false },
  );
  await eventually(async () => (await late.ask("/ready")).status === 503, { timeoutMs: 40_000 });
  expect((await late.ask("/health")).status).toBe(200);
  const { runId } = await place.start("hello");
  await redis.set("pass");
  await eventually(() => late.output().includes("announcing this worker failed"), { timeoutMs: 10_000 });
  expect(late.output()).not.toContain("worker ready");
  await database.set("pass");
  await eventually(async () => (await late.ask("/ready")).status === 200, { timeoutMs: 20_000 });
  expect(await place.ended(runId, 20_000)).toMatchObject({ status: "completed" });
}, 120_000);
