import { type RunEvent, RunEvent as RunEventSchema, type UnplacedEvent } from "@cortex/contracts";
import { createTestRedis, eventually, type TestRedis } from "@cortex/testing";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createEventLog, type EventLog } from "./event-log.ts";
import { logKeys } from "./keys.ts";
import { completed, delta, queued, started, stepStarted, testRun } from "./testing/sample-events.ts";

let service: TestRedis;
let redis: Redis;
let log: EventLog;

beforeAll(async () => {
  service = await createTestRedis();
  redis = new Redis(service.url);
  log = createEventLog(redis);
});

afterAll(async () => {
  redis.disconnect();
  await service.drop();
});

const entriesOf = async (runId: string): Promise<RunEvent[]> =>
  (await redis.lrange(logKeys(runId).list, 0, -1)).map((entry) => RunEventSchema.parse(JSON.parse(entry)));

const begin = async (events: (run: string) => UnplacedEvent[] = (run) => [queued(run)]) => {
  const run = testRun();
  await log.open({ runId: run, attempt: 1, epoch: 1, events: events(run) });
  return run;
};

test("opening creates a log once; the second opener gets what is there and writes nothing", async () => {
  const run = testRun();
  const first = await log.open({ runId: run, attempt: 1, epoch: 1, events: [queued(run), started(run)] });
  expect(first).toMatchObject({ created: true, epoch: 1, length: 2, attempt: 1, closed: false, truncated: false });
  expect(first.bytes).toBe((await redis.lrange(logKeys(run).list, 0, -1)).join("").length);
  const second = await log.open({ runId: run, attempt: 1, epoch: 1, events: [queued(run)] });
  expect(second).toEqual({ ...first, created: false });
  expect((await entriesOf(run)).map(({ type, seq }) => ({ type, seq }))).toEqual([
    { type: "run.queued", seq: 0 },
    { type: "attempt.started", seq: 1 },
  ]);
});

test("opening raises the fence of an existing log and never lowers it", async () => {
  const run = await begin();
  expect(await log.open({ runId: run, attempt: 3, epoch: 1, events: [queued(run)] })).toMatchObject({
    created: false,
    attempt: 3,
  });
  expect(await log.open({ runId: run, attempt: 2, epoch: 1, events: [queued(run)] })).toMatchObject({
    created: false,
    attempt: 3,
  });
  expect(await log.open({ runId: run, attempt: 2, epoch: 2, events: [queued(run)] })).toMatchObject({
    created: true,
    attempt: 3,
  });
});

test("a later epoch replaces an earlier one and begins with resync, once; an earlier one replaces nothing", async () => {
  const run = await begin((id) => [queued(id), started(id), delta(id, "m", "gone")]);
  expect(await log.open({ runId: run, attempt: 1, epoch: 2, events: [queued(run)] })).toMatchObject({
    created: true,
    epoch: 2,
    length: 2,
  });
  expect((await entriesOf(run)).map((entry) => entry.type)).toEqual(["resync", "run.queued"]);
  const resync = { ...queued(run), type: "resync" as const };
  await log.open({ runId: run, attempt: 1, epoch: 3, events: [resync, queued(run)] });
  expect((await entriesOf(run)).map((entry) => entry.type)).toEqual(["resync", "run.queued"]);
  expect(await log.open({ runId: run, attempt: 1, epoch: 2, events: [queued(run)] })).toMatchObject({
    created: false,
    epoch: 3,
  });
});

test("of many who open at once exactly one creates", async () => {
  const run = testRun();
  const opened = await Promise.all(
    Array.from({ length: 50 }, () => log.open({ runId: run, attempt: 1, epoch: 1, events: [queued(run)] })),
  );
  expect(opened.filter((one) => one.created)).toHaveLength(1);
  expect(await entriesOf(run)).toHaveLength(1);
});

test("an append goes in only if attempt, epoch and length are the log's own", async () => {
  const run = await begin();
  const events = [delta(run, "m", "a"), delta(run, "m", "b")];
  const append = (at: { attempt: number; epoch: number; length: number }) => log.append({ runId: run, ...at, events });
  expect(await append({ attempt: 1, epoch: 1, length: 1 })).toMatchObject({
    status: "appended",
    epoch: 1,
    length: 3,
    attempt: 1,
  });
  expect(await append({ attempt: 1, epoch: 1, length: 1 })).toMatchObject({ status: "lost", length: 3 });
  expect(await append({ attempt: 1, epoch: 2, length: 3 })).toMatchObject({ status: "lost", epoch: 1 });
  expect(await append({ attempt: 2, epoch: 1, length: 3 })).toMatchObject({
    status: "appended",
    length: 5,
    attempt: 2,
  });
  expect(await append({ attempt: 1, epoch: 1, length: 5 })).toMatchObject({ status: "fenced", attempt: 2 });
  expect((await entriesOf(run)).map((entry) => entry.seq)).toEqual([0, 1, 2, 3, 4]);
});

test("a fenced append is fenced even where it would also be lost", async () => {
  const run = await begin();
  await log.append({ runId: run, attempt: 2, epoch: 1, length: 1, events: [] });
  expect(await log.append({ runId: run, attempt: 1, epoch: 1, length: 99, events: [stepStarted(run)] })).toMatchObject({
    status: "fenced",
  });
});

test("an append without events raises the fence and publishes nothing", async () => {
  const run = await begin();
  const heard = await listen(run);
  expect(await log.append({ runId: run, attempt: 2, epoch: 1, length: 1, events: [] })).toMatchObject({
    status: "appended",
    length: 1,
    attempt: 2,
  });
  expect(await log.append({ runId: run, attempt: 1, epoch: 1, length: 1, events: [] })).toMatchObject({
    status: "fenced",
  });
  await log.append({ runId: run, attempt: 2, epoch: 1, length: 1, events: [stepStarted(run)] });
  await eventually(() => heard.messages.length > 0);
  expect(heard.messages).toHaveLength(1);
  heard.close();
});

test("a missing log, and half a log, is lost", async () => {
  const nowhere = testRun();
  const at = { attempt: 1, epoch: 1, length: 1 };
  expect(await log.append({ runId: nowhere, ...at, events: [stepStarted(nowhere)] })).toMatchObject({
    status: "lost",
    length: 0,
  });
  expect(await redis.exists(logKeys(nowhere).list, logKeys(nowhere).meta)).toBe(0);
  expect(await log.read({ runId: nowhere, from: 0, limit: 10 })).toBe(null);

  for (const half of ["list", "meta"] as const) {
    const run = await begin();
    await redis.del(logKeys(run)[half]);
    expect(await log.append({ runId: run, ...at, events: [stepStarted(run)] })).toMatchObject({ status: "lost" });
    expect(await log.read({ runId: run, from: 0, limit: 10 })).toBe(null);
    expect(await log.open({ runId: run, attempt: 1, epoch: 1, events: [queued(run)] })).toMatchObject({
      created: true,
      length: 1,
    });
  }
});

test("the terminal event closes the log, and only then does its time begin to run", async () => {
  const run = await begin();
  const { list, meta } = logKeys(run);
  expect(await redis.ttl(list)).toBe(-1);
  const end = { runId: run, attempt: 2, epoch: 1, length: 1, events: [completed(run)] };
  expect(await log.append(end)).toMatchObject({ status: "appended", closed: true, length: 2 });
  for (const key of [list, meta]) expect(await redis.ttl(key)).toBeGreaterThan(86_390);
  expect(await log.append({ ...end, length: 2 })).toMatchObject({ status: "closed", closed: true });
  expect(await entriesOf(run)).toHaveLength(2);
  await expect(log.append({ ...end, events: [completed(run), queued(run)] })).rejects.toThrow(
    "behind the terminal one",
  );
});

test("a log that is rebuilt after its end is closed from the start", async () => {
  const run = testRun();
  const opened = await log.open({ runId: run, attempt: 2, epoch: 2, events: [queued(run), completed(run)] });
  expect(opened).toMatchObject({ created: true, closed: true, length: 3 });
  expect(await redis.ttl(logKeys(run).list)).toBeGreaterThan(86_390);
});

test("log.truncated is remembered with the log", async () => {
  const run = await begin();
  const truncated = { ...queued(run), type: "log.truncated" as const };
  expect(await log.append({ runId: run, attempt: 1, epoch: 1, length: 1, events: [truncated] })).toMatchObject({
    truncated: true,
  });
  expect(await log.read({ runId: run, from: 0, limit: 0 })).toMatchObject({ truncated: true });
});

test("reading gives state and entries of one moment, within its limits", async () => {
  const run = await begin();
  const events = Array.from({ length: 9 }, (_, index) => delta(run, "m", String(index).repeat(100)));
  await log.append({ runId: run, attempt: 1, epoch: 1, length: 1, events });
  const seqs = async (input: { from: number; limit: number; maxBytes?: number; epoch?: number }) => {
    const page = await log.read({ runId: run, ...input });
    return page?.entries.map((entry) => (JSON.parse(entry) as RunEvent).seq);
  };
  expect(await log.read({ runId: run, from: 3, limit: 0 })).toMatchObject({
    epoch: 1,
    length: 10,
    attempt: 1,
    closed: false,
    entries: [],
  });
  expect(await seqs({ from: 8, limit: 100 })).toEqual([8, 9]);
  expect(await seqs({ from: 2, limit: 3 })).toEqual([2, 3, 4]);
  expect(await seqs({ from: 10, limit: 3 })).toEqual([]);
  expect(await seqs({ from: 0, limit: Number.MAX_SAFE_INTEGER })).toHaveLength(10);
  expect(await seqs({ from: 1, limit: 9, maxBytes: 1 })).toEqual([1]);
  expect(await seqs({ from: 1, limit: 9, maxBytes: 700 })).toEqual([1, 2]);
  expect(await log.read({ runId: run, epoch: 7, from: 8, limit: 2 })).toMatchObject({ firstSeq: 0, epoch: 1 });
});

test("an append publishes its entries up to 16 KB, then only where the log stands", async () => {
  const run = await begin();
  const heard = await listen(run);
  await log.append({
    runId: run,
    attempt: 1,
    epoch: 1,
    length: 1,
    events: [delta(run, "m", 'a "quoted"\nline'), delta(run, "m", "é")],
  });
  await log.append({ runId: run, attempt: 1, epoch: 1, length: 3, events: [delta(run, "m", "x".repeat(20_000))] });
  await log.append({ runId: run, attempt: 1, epoch: 1, length: 4, events: [completed(run)] });
  await log.open({ runId: run, attempt: 1, epoch: 2, events: [queued(run)] });
  await eventually(() => heard.messages.length === 4);
  const entries = await entriesOf(run);
  expect(entries).toHaveLength(2);
  expect(heard.messages.map((message) => JSON.parse(message) as object)).toMatchObject([
    {
      epoch: 1,
      first_seq: 1,
      closed: false,
      entries: [
        { seq: 1, text: 'a "quoted"\nline' },
        { seq: 2, text: "é" },
      ],
    },
    { epoch: 1, length: 4, closed: false },
    { epoch: 1, first_seq: 4, closed: true, entries: [{ type: "run.completed", seq: 4 }] },
    { epoch: 2, length: 2, closed: false },
  ]);
  heard.close();
});

test("a log with more entries than Lua can unpack is rebuilt in one call", async () => {
  const run = testRun();
  const events = [queued(run), ...Array.from({ length: 20_000 }, () => stepStarted(run))];
  expect(await log.open({ runId: run, attempt: 1, epoch: 1, events })).toMatchObject({ created: true, length: 20_001 });
  expect(await redis.llen(logKeys(run).list)).toBe(20_001);
});

test("the scripts survive SCRIPT FLUSH", async () => {
  const run = await begin();
  await redis.script("FLUSH");
  expect(await log.append({ runId: run, attempt: 1, epoch: 1, length: 1, events: [stepStarted(run)] })).toMatchObject({
    status: "appended",
  });
});

const listen = async (run: string) => {
  const subscriber = new Redis(service.url);
  const messages: string[] = [];
  subscriber.on("message", (_channel, message) => void messages.push(message));
  await subscriber.subscribe(logKeys(run).news);
  return { messages, close: () => subscriber.disconnect() };
};
