import { silentLogger } from "@cortex/observability";
import { createFaultProxy, createTestRedis, eventually, type OwnRedis } from "@cortex/testing";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type Consumer, createConsumer, createProcessor, type RunHandler } from "./consumer.ts";
import type { RunDelivery } from "./jobs.ts";
import { createProducer } from "./producer.ts";

let redis: OwnRedis;
beforeAll(async () => {
  redis = await createTestRedis({ own: true });
});
afterAll(() => redis.drop());

let prefixes = 0;
const log = silentLogger();
const aPrefix = () => `q${prefixes++}`;
const aDelivery = (delivery = 1): RunDelivery => ({ runId: crypto.randomUUID(), delivery });

const aProducer = (prefix: string, redisUrl = redis.url) => {
  const producer = createProducer({ redisUrl, prefix, log });
  onTestFinished(() => producer.close());
  return producer;
};

const aConsumer = (
  prefix: string,
  handler: RunHandler,
  options: { redisUrl?: string; lock?: { lockMs: number; stalledMs: number } } = {},
): Consumer => {
  const consumer = createConsumer(
    { redisUrl: redis.url, prefix, concurrency: 5, workerId: "w", log, ...options },
    handler,
  );
  onTestFinished(() => consumer.close());
  return consumer;
};

/** Resolves with the reason when the signal aborts. */
const aborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
  });

test("the processor declares three parameters, or BullMQ passes no signal", () => {
  expect(createProcessor(async () => ({ kind: "done" }), { log, running: () => () => undefined })).toHaveLength(3);
});

test("a delivery is worked on once, however often it is given", async () => {
  const prefix = aPrefix();
  const seen: RunDelivery[] = [];
  const producer = aProducer(prefix);
  const delivery = aDelivery();
  for (let n = 0; n < 5; n++) producer.deliver(delivery);
  await eventually(async () => (await producer.jobState(delivery)) !== "absent");
  aConsumer(prefix, async (job) => {
    seen.push(job);
    return { kind: "done" };
  });
  await eventually(async () => (await producer.jobState(delivery)) === "absent");
  producer.deliver(delivery);
  producer.deliver({ ...delivery, delivery: 2 });
  await eventually(() => seen.length === 2);
  expect(seen).toEqual([delivery, { ...delivery, delivery: 2 }]);
});

test("a handler that throws is acknowledged; Postgres decides what follows", async () => {
  const prefix = aPrefix();
  let calls = 0;
  const producer = aProducer(prefix);
  aConsumer(prefix, async () => {
    calls += 1;
    throw new Error("broken");
  });
  const delivery = aDelivery();
  producer.deliver(delivery);
  await eventually(async () => calls === 1 && (await producer.jobState(delivery)) === "absent");
});

test("a job that meets a living lease waits until its end", async () => {
  const prefix = aPrefix();
  const times: number[] = [];
  const producer = aProducer(prefix);
  aConsumer(prefix, async () => {
    times.push(Date.now());
    return times.length === 1 ? { kind: "delay", untilMs: Date.now() + 300 } : { kind: "done" };
  });
  producer.deliver(aDelivery());
  await eventually(() => times.length === 2);
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(290);
});

test("a worker that shuts down hands its job to another at once", async () => {
  const prefix = aPrefix();
  const producer = aProducer(prefix);
  const reasons: unknown[] = [];
  let started = false;
  const leaving = aConsumer(prefix, async (_job, { signal }) => {
    started = true;
    reasons.push(await aborted(signal));
    return { kind: "handBack" };
  });
  const delivery = aDelivery();
  producer.deliver(delivery);
  await eventually(() => started);
  await leaving.close();
  expect(reasons).toEqual(["shutdown"]);
  const seen: RunDelivery[] = [];
  aConsumer(prefix, async (job) => {
    seen.push(job);
    return { kind: "done" };
  });
  await eventually(() => seen.length === 1, { timeoutMs: 1_000 });
  expect(seen).toEqual([delivery]);
});

test("a worker that is cut off from Redis lets go before its lock ends, though it hears nothing", async () => {
  const prefix = aPrefix();
  const proxy = await createFaultProxy({ host: "127.0.0.1", port: Number(new URL(redis.url).port) });
  onTestFinished(() => proxy.close());
  let reason: unknown;
  let startedAt = 0;
  aConsumer(
    prefix,
    async (_job, { signal }) => {
      startedAt = performance.now();
      reason = await aborted(signal);
      return { kind: "done" };
    },
    { redisUrl: proxy.through(redis.url), lock: { lockMs: 1_000, stalledMs: 500 } },
  );
  aProducer(prefix).deliver(aDelivery());
  await eventually(() => startedAt > 0);
  await proxy.set("blackhole");
  await eventually(() => reason === "lost", { timeoutMs: 2_000 });
  expect(performance.now() - startedAt).toBeLessThan(1_000);
  await proxy.set("pass");
});

test("giving work neither waits nor throws while Redis is away, and nothing is kept back", async () => {
  const own = await createTestRedis({ own: true });
  onTestFinished(() => own.drop());
  const prefix = aPrefix();
  const producer = aProducer(prefix, own.url);
  const before = aDelivery();
  producer.deliver(before);
  await eventually(async () => (await producer.jobState(before)) !== "absent");
  await own.kill();
  const during = aDelivery();
  producer.deliver(during);
  await expect(producer.jobState(during)).rejects.toBeInstanceOf(Error);
  await own.start();
  await eventually(async () => (await producer.jobState(during)) === "absent");
});

test("both sides close in bounded time when Redis is gone, or was never there", async () => {
  const own = await createTestRedis({ own: true });
  onTestFinished(() => own.drop());
  const prefix = aPrefix();
  let started = false;
  const consumer = createConsumer(
    { redisUrl: own.url, prefix, concurrency: 5, workerId: "w", log },
    async (_job, { signal }) => {
      started = true;
      await aborted(signal);
      return { kind: "done" };
    },
  );
  const producer = createProducer({ redisUrl: own.url, prefix, log });
  producer.deliver(aDelivery());
  await eventually(() => started);
  await own.kill();
  const never = createProducer({ redisUrl: "redis://127.0.0.1:1", prefix, log });
  const startedAt = performance.now();
  await expect(never.jobState(aDelivery())).rejects.toBeInstanceOf(Error);
  await Promise.all([consumer.close(), producer.close(), never.close()]);
  expect(performance.now() - startedAt).toBeLessThan(8_000);
});
