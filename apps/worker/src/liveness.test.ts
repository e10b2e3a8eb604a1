import { silentLogger } from "@cortex/observability";
import { createConsumer, createProducer, type ConsumerState } from "@cortex/queue";
import { createFaultProxy, createTestRedis, eventually } from "@cortex/testing";
import { expect, onTestFinished, test } from "vitest";
import { type LivenessDeps, watchLiveness } from "./liveness.ts";

const limits = { concurrency: 2, limitMs: 100, everyMs: 10 };
const resting: ConsumerState = { connected: true, running: 0, lastBegun: -Infinity, refused: null };

/** Watches until it has looked often enough to see anything that it would ever see; returns what it said. */
const watched = async (deps: Partial<LivenessDeps>): Promise<readonly string[]> => {
  const said: string[] = [];
  let looks = 0;
  const liveness = watchLiveness(
    {
      lastBeat: () => performance.now(),
      askPostgres: async () => null,
      waiting: async () => 0,
      onWedged: (reason) => void said.push(reason),
      ...deps,
      consumer: () => {
        looks += 1;
        return deps.consumer?.() ?? resting;
      },
    },
    limits,
  );
  const begun = performance.now();
  await eventually(() => said.length > 0 || (looks >= 30 && performance.now() - begun > 4 * limits.limitMs));
  expect(liveness.wedged()).toBe(said[0] ?? null);
  liveness.close();
  return said;
};

const away = async (): Promise<never> => {
  throw new Error("away");
};

test("a heartbeat that does not get through is a wedge only if Postgres answers", async () => {
  expect(await watched({ lastBeat: () => -Infinity })).toEqual([expect.stringContaining("heartbeat")]);
  expect(await watched({ lastBeat: () => -Infinity, askPostgres: away })).toEqual([]);
  let asked = 0;
  const nowAndThen = async () => (asked++ % 5 === 0 ? away() : null);
  expect(await watched({ lastBeat: () => -Infinity, askPostgres: nowAndThen })).toEqual([]);
});

test("runs that wait while nothing is begun are a wedge, unless there is a reason for it", async () => {
  const waiting = async () => 3;
  expect(await watched({ waiting })).toEqual([expect.stringContaining("nothing is begun")]);
  expect(await watched({ waiting, consumer: () => ({ ...resting, running: 2 }) })).toEqual([]);
  expect(await watched({ waiting, consumer: () => ({ ...resting, refused: "OOM" }) })).toEqual([]);
  expect(await watched({ waiting, consumer: () => ({ ...resting, lastBegun: performance.now() }) })).toEqual([]);
  expect(await watched({ waiting: away })).toEqual([]);
  let looks = 0;
  expect(await watched({ waiting: async () => (looks++ % 5 === 0 ? 0 : 3) })).toEqual([]);
});

test("a consumer that is connected and deaf is noticed", async () => {
  const redis = await createTestRedis();
  const proxy = await createFaultProxy({ host: "127.0.0.1", port: Number(new URL(redis.url).port) });
  const log = silentLogger();
  const prefix = "deaf";
  const begun: string[] = [];
  const consumer = createConsumer(
    { redisUrl: proxy.through(redis.url), prefix, concurrency: 2, workerId: "w", log },
    async ({ runId }) => {
      begun.push(runId);
      return { kind: "done" };
    },
  );
  const producer = createProducer({ redisUrl: redis.url, prefix, log });
  onTestFinished(async () => {
    await proxy.close();
    await Promise.all([consumer.close(), producer.close()]);
    await redis.drop();
  });
  await consumer.ready();
  await eventually(() => {
    producer.deliver({ runId: crypto.randomUUID(), delivery: 1 });
    return begun.length > 0;
  });
  await proxy.set("blackhole");
  let reason = "";
  const liveness = watchLiveness(
    {
      lastBeat: () => performance.now(),
      askPostgres: async () => null,
      consumer: consumer.state,
      waiting: () => producer.waiting(),
      onWedged: (why) => (reason = why),
    },
    { concurrency: 2, limitMs: 500, everyMs: 50 },
  );
  for (let n = 0; n < 3; n++) producer.deliver({ runId: crypto.randomUUID(), delivery: 1 });
  await eventually(() => reason.includes("nothing is begun"));
  expect(consumer.state().connected).toBe(true);
  liveness.close();
});
