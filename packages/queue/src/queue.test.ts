import { createLogger, silentLogger } from "@cortex/observability";
import { createFaultProxy, createTestRedis, eventually, type OwnRedis } from "@cortex/testing";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type Consumer, type ConsumerOptions, createConsumer, type RunHandler } from "./consumer.ts";
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
  options: Partial<Pick<ConsumerOptions, "redisUrl" | "concurrency" | "lock" | "log">> = {},
): Consumer => {
  const consumer = createConsumer(
    { redisUrl: redis.url, prefix, concurrency: 5, workerId: "w", log, ...options },
    handler,
  );
  onTestFinished(() => consumer.close());
  return consumer;
};

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

/** A logger whose lines a test reads. */
const aLog = () => {
  const lines: string[] = [];
  const heard = createLogger({ name: "test", level: "info" }, { write: (line) => void lines.push(line) });
  return { log: heard, lines };
};

const aClient = (url: string) => {
  const client = new Redis(url);
  onTestFinished(() => client.disconnect());
  return client;
};

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
  let started = false;
  const leaving = aConsumer(prefix, async (_job, { signal }) => {
    started = true;
    await aborted(signal);
    return { kind: "handBack" };
  });
  const delivery = aDelivery();
  producer.deliver(delivery);
  await eventually(() => started);
  await leaving.close();
  const seen: RunDelivery[] = [];
  aConsumer(prefix, async (job) => {
    seen.push(job);
    return { kind: "done" };
  });
  // Not before its lock has run out by itself: that takes 15 s.
  await eventually(() => seen.length === 1);
  expect(seen).toEqual([delivery]);
});

test("a worker that is cut off from Redis goes on with its run; the job rests with another meanwhile, and nobody complains", async () => {
  const prefix = aPrefix();
  const proxy = await createFaultProxy({ host: "127.0.0.1", port: Number(new URL(redis.url).port) });
  onTestFinished(() => proxy.close());
  const lock = { lockMs: 1_000, stalledMs: 500 };
  const { log: heard, lines } = aLog();
  const finish = Promise.withResolvers<void>();
  let begun = 0;
  let stopped = false;
  aConsumer(
    prefix,
    async (_job, { signal }) => {
      begun += 1;
      signal.addEventListener("abort", () => (stopped = true));
      await finish.promise;
      return { kind: "done" };
    },
    { redisUrl: proxy.through(redis.url), lock, log: heard },
  );
  const delivery = aDelivery();
  const producer = aProducer(prefix);
  producer.deliver(delivery);
  onTestFinished(() => finish.resolve());
  await eventually(() => begun === 1);
  await proxy.set("blackhole");
  // Up to 5 s: the word that a job waits goes to the worker that cannot hear it, and this one looks by itself.
  let met = 0;
  aConsumer(
    prefix,
    async () => {
      met += 1;
      return met < 3 ? { kind: "delay", untilMs: Date.now() + 100 } : { kind: "done" };
    },
    { lock, log: heard },
  );
  await eventually(async () => (await producer.jobState(delivery)) === "absent", { timeoutMs: 15_000 });
  expect(stopped).toBe(false);
  await proxy.set("pass");
  finish.resolve();
  // The worker that was away works again, and its late acknowledgement is no trouble.
  const next = aDelivery();
  producer.deliver(next);
  await eventually(async () => (await producer.jobState(next)) === "absent");
  expect(met + begun).toBeGreaterThanOrEqual(4);
  expect(lines.filter((line) => line.includes("lock") || line.includes("Missing"))).toEqual([]);
});

test("a job that was lost to another worker is woken when its holder hands its run over", async () => {
  const prefix = aPrefix();
  const producer = aProducer(prefix);
  const client = aClient(redis.url);
  const delivery = aDelivery();
  const stalledMs = 300;
  let started = false;
  const leaving = aConsumer(
    prefix,
    async (_job, { signal }) => {
      started = true;
      await aborted(signal);
      return { kind: "handBack" };
    },
    { concurrency: 1, lock: { lockMs: 60_000, stalledMs } },
  );
  producer.deliver(delivery);
  await eventually(() => started);
  await client.del(`${prefix}:run-execute:run-${delivery.runId}-1:lock`);
  let met = 0;
  aConsumer(
    prefix,
    async () => {
      met += 1;
      return met === 1 ? { kind: "delay", untilMs: Date.now() + 3_600_000 } : { kind: "done" };
    },
    { lock: { lockMs: 60_000, stalledMs } },
  );
  await eventually(async () => met === 1 && (await producer.jobState(delivery)) === "waiting");
  await leaving.close();
  await eventually(() => met === 2);
});

test("a full Redis is left in peace, said once, and work goes on by itself when there is room", async () => {
  const own = await createTestRedis({ own: true });
  onTestFinished(() => own.drop());
  const prefix = aPrefix();
  const { log: heard, lines } = aLog();
  const seen: string[] = [];
  const done = Promise.withResolvers<void>();
  onTestFinished(() => done.resolve());
  const held = aDelivery();
  const consumer = aConsumer(
    prefix,
    async ({ runId }) => {
      seen.push(runId);
      if (runId === held.runId) await done.promise;
      return { kind: "done" };
    },
    { redisUrl: own.url, log: heard, lock: { lockMs: 1_000, stalledMs: 300 } },
  );
  const producer = aProducer(prefix, own.url);
  producer.deliver(held);
  await eventually(() => seen.length === 1);
  const client = aClient(own.url);
  const waitingRuns = [aDelivery(), aDelivery(), aDelivery()];
  await client.config("SET", "maxmemory", "1");
  for (const delivery of waitingRuns) producer.deliver(delivery);
  await eventually(() => consumer.state().refused?.includes("OOM"), { timeoutMs: 10_000 });
  const refusals = async () => Number(/errorstat_OOM:count=(\d+)/.exec(await client.info("errorstats"))?.[1] ?? 0);
  const before = { refusals: await refusals(), cpu: process.cpuUsage(), at: performance.now() };
  // What ends meanwhile cannot be acknowledged, and makes no noise either.
  done.resolve();
  await eventually(() => performance.now() - before.at > 3_000);
  const cpu = process.cpuUsage(before.cpu);
  // Of each second: one probe, and what renews locks and looks for stalled jobs. Without the breaker: thousands.
  expect((await refusals()) - before.refusals).toBeLessThan(60);
  expect((cpu.user + cpu.system) / 1_000).toBeLessThan(1_500);
  expect(lines.filter((line) => line.includes("Redis refuses"))).toHaveLength(1);
  await client.config("SET", "maxmemory", "0");
  await eventually(() => consumer.state().refused === null, { timeoutMs: 5_000 });
  for (const delivery of waitingRuns) producer.deliver(delivery);
  await eventually(() => waitingRuns.every(({ runId }) => seen.includes(runId)), { timeoutMs: 10_000 });
  await eventually(async () => (await producer.jobState(held)) === "absent", { timeoutMs: 10_000 });
});

test("a job of a newer version: what is new in it is passed over, what cannot be read is thrown away", async () => {
  const prefix = aPrefix();
  const seen: RunDelivery[] = [];
  aConsumer(prefix, async (delivery) => {
    seen.push(delivery);
    return { kind: "done" };
  });
  const queue = new Queue("run-execute", { connection: aClient(redis.url), prefix });
  const delivery = aDelivery();
  const unreadable = await queue.add("run", { kind: "resume", of: delivery.runId });
  await queue.add("run", { ...delivery, priority: "high" });
  await eventually(() => seen.length === 1);
  expect(seen).toEqual([delivery]);
  await eventually(() => unreadable.isCompleted());
});

test("giving work neither waits nor throws while Redis is away, and nothing is kept back", async () => {
  const own = await createTestRedis({ own: true });
  onTestFinished(() => own.drop());
  const prefix = aPrefix();
  const producer = aProducer(prefix, own.url);
  const before = aDelivery();
  await eventually(async () => {
    producer.deliver(before);
    return (await producer.jobState(before)) !== "absent";
  });
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
