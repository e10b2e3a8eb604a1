import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createTestRedis, eventually } from "@cortex/testing";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createEventLog, type EventLog } from "./event-log.ts";
import { elapsed, type Following, openFollowing, type Received, seeded, turns } from "./testing/follower-fixture.ts";
import { parseHint } from "./hint.ts";
import { logKeys } from "./keys.ts";
import { type LogFixture, openLogFixture } from "./testing/log-fixture.ts";
import { completed, delta, queued, stepStarted, testRun } from "./testing/sample-events.ts";

let fixture: LogFixture;
let following: Following;

beforeAll(async () => {
  fixture = await openLogFixture();
  following = openFollowing(fixture.redis);
});
afterAll(async () => {
  following.close();
  await fixture.close();
});

const listOf = (runId: string, redis = fixture.redis) => redis.lrange(logKeys(runId).list, 0, -1);

/** A run of so many events, with a pause of its own before each; the last one ends it. */
const play = async (
  log: EventLog,
  input: { runId: string; events: number; pause: () => Promise<void> },
): Promise<void> => {
  const { runId } = input;
  await input.pause();
  await log.open({ runId, attempt: 1, epoch: 1, events: [queued(runId)] });
  for (let length = 1; length < input.events; length++) {
    await input.pause();
    const event = length === input.events - 1 ? completed(runId) : stepStarted(runId, length);
    await log.append({ runId, attempt: 1, epoch: 1, length, events: [event] });
  }
};

/** A follower for each of 1,000 runs of three events, each joining at a moment of its own. */
const thousand = async (seed: number, receive: (runId: string) => Promise<string[]>): Promise<{ exact: number }> => {
  const random = seeded(seed);
  const runs = Array.from({ length: 1_000 }, () => testRun());
  const received = await Promise.all(
    runs.map(async (runId) => {
      const join = random(40);
      const got = turns(join).then(() => receive(runId));
      await play(fixture.log, { runId, events: 3, pause: () => turns(random(20)) });
      return got;
    }),
  );
  let exact = 0;
  for (const [index, runId] of runs.entries()) {
    if (JSON.stringify(received[index]) === JSON.stringify(await listOf(runId))) exact += 1;
  }
  return { exact };
};

test("1,000 short runs, followers that join at random moments: each sees every event once and in order", async () => {
  const { exact } = await thousand(1, async (runId) => (await following.receive(runId)).entries);
  expect(exact).toBe(1_000);
  expect(following.tails.size()).toBe(0);
}, 60_000);

test("the same test fails a follower that reads before it subscribes", async () => {
  const subscriber = new Redis(fixture.url);
  const heard = new Map<string, string[]>();
  subscriber.on(
    "message",
    (channel: string, text: string) => void heard.get(channel)?.push(...(parseHint(text)?.entries?.texts ?? [])),
  );
  const { exact } = await thousand(1, async (runId) => {
    const { news } = logKeys(runId);
    const entries = await listOf(runId);
    heard.set(news, []);
    await subscriber.subscribe(news);
    return eventually(
      async () => {
        const all = [...entries, ...(heard.get(news) ?? [])];
        return all.at(-1)?.includes("run.completed") ? all : null;
      },
      { timeoutMs: 1_000 },
    ).catch(() => ["stuck"]);
  });
  subscriber.disconnect();
  expect(exact).toBeLessThan(1_000);
}, 60_000);

test("followers that come and go at random, with their cursor, get exactly the rest each time", async () => {
  const random = seeded(2);
  let reconnects = 0;
  const runs = Array.from({ length: 30 }, () => testRun());
  await Promise.all(
    runs.map(async (runId) => {
      const played = play(fixture.log, { runId, events: 120, pause: () => turns(random(6)) });
      const received: Received = { entries: [], cursor: null, epochs: [] };
      while (!received.entries.at(-1)?.includes("run.completed")) {
        let frames = 1 + random(4);
        await following.receive(runId, received, { enough: () => --frames === 0 });
        reconnects += 1;
        await turns(random(10));
      }
      await played;
      expect(received.entries).toEqual(await listOf(runId));
    }),
  );
  expect(reconnects).toBeGreaterThan(300);
}, 60_000);

test("200 followers of one run read the list as often as a few would", async () => {
  const runId = testRun();
  const random = seeded(3);
  const before = following.counts.reads;
  const all = Array.from({ length: 200 }, () => turns(random(400)).then(() => following.receive(runId)));
  await play(fixture.log, { runId, events: 2_000, pause: () => turns(1) });
  const list = await listOf(runId);
  expect(list).toHaveLength(2_000);
  for (const { entries } of await Promise.all(all)) expect(entries).toEqual(list);
  // Each of them alone would have had to read at least once at its beginning, and most more than once.
  expect(following.counts.reads - before).toBeLessThan(400);
}, 60_000);

test("a follower that does not ask costs no memory, however fast the log grows", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const heap = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const runId = testRun();
  await fixture.log.open({ runId, attempt: 1, epoch: 1, events: [queued(runId)] });
  const lazy = Array.from({ length: 50 }, () => following.frames(runId));
  for (const frames of lazy) await frames.next();
  const before = heap();
  const text = "x".repeat(1_000);
  for (let length = 1; length <= 20_000; length += 10) {
    const events = Array.from({ length: 10 }, () => delta(runId, "m", text));
    await fixture.log.append({ runId, attempt: 1, epoch: 1, length, events });
  }
  const grown = heap() - before;
  // 24 MB have passed. A window of 256 K characters and a few pages are kept, for all 50 together.
  expect(grown).toBeLessThan(4_000_000);
  await fixture.log.append({ runId, attempt: 1, epoch: 1, length: 20_001, events: [completed(runId)] });
  const [first, second] = lazy;
  for (const frames of [first, second]) {
    let next = 1;
    for await (const frame of frames ?? []) {
      expect(frame.first_seq).toBe(next);
      next += frame.entries.length;
    }
    expect(next).toBe(20_002);
  }
  for (const frames of lazy) await frames.return();
}, 60_000);

test("with the subscriber's connection killed all the time every follower is still exact", async () => {
  // A server of its own: the kill hits every subscriber there is.
  const service = await createTestRedis({ own: true });
  const redis = new Redis(service.url, { retryStrategy: () => 5 });
  const there = openFollowing(redis);
  const log = createEventLog(redis);
  const random = seeded(4);
  let playing = true;
  let kills = 0;
  const kill = async () => {
    while (playing) {
      kills += Number(await redis.client("KILL", "TYPE", "PUBSUB"));
      await elapsed(50);
    }
  };
  const killing = kill();
  const runs = Array.from({ length: 20 }, () => testRun());
  await Promise.all(
    runs.map(async (runId) => {
      const all = Array.from({ length: 5 }, () => turns(random(200)).then(() => there.receive(runId)));
      await play(log, { runId, events: 200, pause: () => elapsed(random(15)) });
      const list = await listOf(runId, redis);
      for (const { entries } of await Promise.all(all)) expect(entries).toEqual(list);
    }),
  );
  playing = false;
  await killing;
  expect(kills).toBeGreaterThan(10);
  there.close();
  redis.disconnect();
  await service.drop();
}, 60_000);
