import { AppError } from "@cortex/contracts";
import { silentLogger } from "@cortex/observability";
import { createTestRedis, eventually, type TestRedis } from "@cortex/testing";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { connectRedis } from "./redis-connection.ts";
import { createStreamSlots, type Slot, type SlotLimits, type SlotTimings, type StreamSlots } from "./stream-slots.ts";

let service: TestRedis;
let redis: Redis;
beforeAll(async () => {
  service = await createTestRedis();
  redis = new Redis(service.url);
});
afterAll(async () => {
  redis.disconnect();
  await service.drop();
});

const hour = 3_600_000;
/** Nothing happens by itself. */
const still: SlotTimings = { renewMs: hour, ttlMs: hour, stayMs: hour };
const small: SlotLimits = { perRun: 2, perUser: 3, perProcess: 100 };

/** As one API process has them. */
const aProcess = (timings: Partial<SlotTimings> = {}, limits: Partial<SlotLimits> = {}, on = redis): StreamSlots => {
  const slots = createStreamSlots({
    redis: on,
    log: silentLogger(),
    limits: { ...small, ...limits },
    timings: { ...still, ...timings },
  });
  onTestFinished(() => slots.close());
  return slots;
};

const outcome = async ({ taken }: Slot): Promise<"taken" | number> => {
  try {
    await taken;
    return "taken";
  } catch (error) {
    if (error instanceof AppError && error.code === "too_many_streams") return error.details.retry_after_ms ?? -1;
    throw error;
  }
};
const none = () => {};
const aUser = () => crypto.randomUUID();
const keyOf = (userId: string) => `stream_slots:{${userId}}`;

test("two of a run and three of a user, over all processes; what is given back can be had", async () => {
  const [one, other] = [aProcess(), aProcess()];
  const userId = aUser();
  const first = one.take({ userId, runId: "a", lost: none });
  expect(await outcome(first)).toBe("taken");
  expect(await outcome(other.take({ userId, runId: "a", lost: none }))).toBe("taken");
  const third = await outcome(other.take({ userId, runId: "a", lost: none }));
  expect(third).toBeGreaterThan(hour - 60_000);
  expect(third).toBeLessThanOrEqual(hour);
  expect(await outcome(one.take({ userId, runId: "b", lost: none }))).toBe("taken");
  expect(await outcome(one.take({ userId, runId: "c", lost: none }))).toBeTypeOf("number");
  expect(await outcome(other.take({ userId: aUser(), runId: "a", lost: none }))).toBe("taken");
  expect([one.size(), other.size()]).toEqual([2, 2]);

  first.release();
  first.release();
  await eventually(async () => (await redis.zcard(keyOf(userId))) === 2);
  expect(await outcome(other.take({ userId, runId: "a", lost: none }))).toBe("taken");
});

test("a hundred at once get what there is", async () => {
  const processes = [aProcess(), aProcess(), aProcess()] as const;
  const aProcessOf = (index: number): StreamSlots => processes[(index % 3) as 0 | 1 | 2];
  const userId = aUser();
  const asked = Array.from({ length: 99 }, (_, index) =>
    outcome(aProcessOf(index).take({ userId, runId: String(index), lost: none })),
  );
  expect((await Promise.all(asked)).filter((each) => each === "taken")).toHaveLength(3);
  expect(await redis.zcard(keyOf(userId))).toBe(3);
});

test("a place that is given back while it is asked for is held by nobody", async () => {
  const slots = aProcess();
  const userId = aUser();
  await slots.take({ userId: aUser(), runId: "a", lost: none }).taken;
  await redis.script("FLUSH"); // asking takes two commands then, and giving back could come between them
  const slot = slots.take({ userId, runId: "a", lost: none });
  slot.release();
  await slot.taken;
  await eventually(async () => (await redis.zcard(keyOf(userId))) === 0);
  expect(slots.size()).toBe(1);
});

test("what a killed process held is free by itself, what a living one holds is not, and the key goes with the last", async () => {
  const userId = aUser();
  const ttlMs = 1_500; // more than a busy machine takes to the refusal below
  const killed = aProcess({ ttlMs });
  await Promise.all(["a", "a"].map((runId) => outcome(killed.take({ userId, runId, lost: none }))));
  const living = aProcess({ ttlMs, renewMs: 50 });
  const kept = living.take({ userId, runId: "b", lost: none });
  expect(await outcome(kept)).toBe("taken");
  expect(await outcome(living.take({ userId, runId: "a", lost: none }))).toBeTypeOf("number");
  await eventually(async () => (await outcome(living.take({ userId, runId: "a", lost: none }))) === "taken");
  expect((await redis.zrange(keyOf(userId), "0", "-1")).some((member) => member.includes(":b:"))).toBe(true);
  expect(await redis.pttl(keyOf(userId))).toBeLessThanOrEqual(ttlMs);
  living.close();
  await eventually(async () => (await redis.exists(keyOf(userId))) === 0);
});

test("the newest stream gets the place that was held longest, of its run or of the user, and its holder is told", async () => {
  const slots = aProcess({ stayMs: 0, renewMs: 30 });
  const userId = aUser();
  const told: string[] = [];
  const take = async (runId: string, name: string): Promise<void> => {
    const began = Date.now();
    await eventually(() => Date.now() > began, { intervalMs: 1 }); // no two of the same age
    expect(await outcome(slots.take({ userId, runId, lost: () => told.push(name) }))).toBe("taken");
  };
  await take("b", "b1");
  await take("a", "a1");
  await take("a", "a2");
  await take("a", "a3"); // two of this run: its oldest goes
  await eventually(() => told.length === 1);
  await take("c", "c1"); // three of this user: the oldest of all goes
  await eventually(() => told.length === 2);
  expect([told, slots.size()]).toEqual([["a1", "b1"], 3]);
});

test("places that Redis has forgotten are taken again; who finds none then is told", async () => {
  const userId = aUser();
  const [one, other] = [aProcess({ renewMs: 50 }), aProcess()];
  let lost = 0;
  for (const runId of ["a", "a", "b"]) await one.take({ userId, runId, lost: () => (lost += 1) }).taken;
  await redis.del(keyOf(userId));
  await eventually(async () => (await redis.zcard(keyOf(userId))) === 3);
  expect([lost, one.size()]).toEqual([0, 3]);

  // All three are lost, and before they are renewed others have two.
  await redis
    .multi()
    .del(keyOf(userId))
    .zadd(keyOf(userId), String(Date.now() + hour), `${Date.now()}:x:1`)
    .zadd(keyOf(userId), String(Date.now() + hour), `${Date.now()}:x:2`)
    .exec();
  await eventually(() => lost === 2);
  expect([one.size(), await redis.zcard(keyOf(userId))]).toEqual([1, 3]);
  expect(await outcome(other.take({ userId, runId: "c", lost: none }))).toBeTypeOf("number");
});

test("without Redis only the process's own limit refuses, and it holds with Redis, too", async () => {
  const away = connectRedis({ url: "redis://127.0.0.1:1", name: "test", log: silentLogger() });
  onTestFinished(() => away.disconnect());
  for (const on of [away, redis]) {
    const slots = aProcess({}, { perProcess: 2, perRun: 1 }, on);
    const take = (): Slot => slots.take({ userId: on === away ? "u" : aUser(), runId: "a", lost: none });
    const first = take();
    expect(await Promise.all([first, take()].map(outcome))).toEqual(["taken", "taken"]);
    expect(await outcome(take())).toBe(1_000);
    first.release();
    expect(await outcome(take())).toBe("taken");
  }
});
