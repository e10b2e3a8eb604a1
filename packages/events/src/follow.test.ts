import { AppError, type Cursor } from "@cortex/contracts";
import { eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RunFrame } from "./follow.ts";
import { type Following, openFollowing } from "./testing/follower-fixture.ts";
import { logKeys } from "./keys.ts";
import { type LogFixture, openLogFixture } from "./testing/log-fixture.ts";
import { completed, delta, queued, stepStarted, storedRun, testRun } from "./testing/sample-events.ts";
import type { EnsureLog } from "./tail.ts";

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

const listOf = (runId: string) => fixture.redis.lrange(logKeys(runId).list, 0, -1);

/** A log of the given epoch with `count` steps. */
const logWith = async (count: number, options: { epoch?: number; ended?: boolean } = {}) => {
  const runId = testRun();
  const events = Array.from({ length: count }, (_, step) => stepStarted(runId, step));
  if (options.ended) events.push(completed(runId));
  await fixture.log.open({ runId, attempt: 1, epoch: options.epoch ?? 1, events });
  return runId;
};

const codeOf = async (frames: AsyncGenerator<RunFrame>): Promise<string> => {
  try {
    await frames.next();
  } catch (error) {
    return error instanceof AppError ? error.code : String(error);
  }
  return "none";
};

const firstOf = async (runId: string, after: Cursor | null): Promise<RunFrame | null> => {
  const frames = following.frames(runId, { after });
  const first = await frames.next();
  await frames.return();
  return first.done ? null : first.value;
};

test("an ended log is told to its end, in frames, from any cursor", async () => {
  const runId = await logWith(700, { ended: true });
  const list = await listOf(runId);
  const sizes: number[] = [];
  for await (const frame of following.frames(runId)) {
    expect(frame.entries).toEqual(list.slice(frame.first_seq, frame.first_seq + frame.entries.length));
    sizes.push(frame.entries.length);
  }
  expect(sizes).toEqual([200, 200, 200, 101]);
  for (const seq of [0, 1, 500, 699]) {
    const { entries } = await following.receive(runId, { entries: [], cursor: { epoch: 1, seq }, epochs: [] });
    expect(entries).toEqual(list.slice(seq + 1));
  }
});

test("a frame has at most 64 KB, a larger entry comes alone", async () => {
  const runId = testRun();
  const sizes = [40_000, 20_000, 20_000, 100_000, 10];
  const events = [...sizes.map((size) => delta(runId, "m", "x".repeat(size))), completed(runId)];
  await fixture.log.open({ runId, attempt: 1, epoch: 1, events });
  const frames: number[] = [];
  for await (const frame of following.frames(runId)) frames.push(frame.entries.length);
  expect(frames).toEqual([2, 1, 1, 2]);
});

test("who has the end already gets no frame; who has everything so far gets an empty one at once, then the rest", async () => {
  const ended = await logWith(3, { ended: true });
  expect(await firstOf(ended, { epoch: 1, seq: 3 })).toBe(null);

  const open = await logWith(3);
  const frames = following.frames(open, { after: { epoch: 1, seq: 2 } });
  expect(await frames.next()).toEqual({ done: false, value: { epoch: 1, first_seq: 3, entries: [] } });
  const next = frames.next();
  await fixture.log.append({ runId: open, attempt: 1, epoch: 1, length: 3, events: [completed(open)] });
  expect(await next).toMatchObject({ value: { first_seq: 3, entries: [expect.stringContaining("run.completed")] } });
  expect(await frames.next()).toEqual({ done: true, value: undefined });
});

test("a cursor of an older epoch gets the new epoch from its start", async () => {
  const runId = await logWith(3, { epoch: 3, ended: true });
  for (const after of [
    { epoch: 1, seq: 900 },
    { epoch: 2, seq: 0 },
  ]) {
    expect(await firstOf(runId, after)).toMatchObject({ epoch: 3, first_seq: 0 });
  }
  expect((await firstOf(runId, { epoch: 2, seq: 0 }))?.entries[0]).toContain('"type":"resync"');
});

test("a cursor of the future is refused before the first frame", async () => {
  const runId = await logWith(3);
  for (const after of [
    { epoch: 1, seq: 3 },
    { epoch: 1, seq: 99 },
    { epoch: 2, seq: 0 },
  ]) {
    expect(await codeOf(following.frames(runId, { after }))).toBe("invalid_cursor");
  }
  expect(following.tails.size()).toBe(0);
});

test("a cursor that another process gave out is good here too, though this one has not heard of it", async () => {
  const runId = await logWith(3);
  const stay = new AbortController();
  const here = following.frames(runId, { signal: stay.signal });
  await here.next();
  // Nobody is told of these entries.
  await fixture.redis.rpush(logKeys(runId).list, '{"seq":3}', '{"seq":4}');
  expect(await firstOf(runId, { epoch: 1, seq: 4 })).toEqual({ epoch: 1, first_seq: 5, entries: [] });
  stay.abort();
  await here.next();
});

test("a missing log is created by whoever follows, once for all of them", async () => {
  const runId = testRun();
  let asked = 0;
  const ensure = async () => {
    asked += 1;
    await fixture.log.open({ runId, attempt: 1, epoch: 1, events: [queued(runId), completed(runId)] });
    return { epoch: 1 };
  };
  const all = await Promise.all(Array.from({ length: 20 }, () => following.receive(runId, undefined, { ensure })));
  const list = await listOf(runId);
  for (const { entries } of all) expect(entries).toEqual(list);
  expect(asked).toBe(1);
});

test("if the log is about to be created by somebody else, the follower waits for it", async () => {
  const runId = testRun();
  const received = following.receive(runId);
  await eventually(() => following.tails.size() === 1);
  await fixture.log.open({ runId, attempt: 1, epoch: 1, events: [queued(runId)] });
  await fixture.log.append({ runId, attempt: 1, epoch: 1, length: 1, events: [completed(runId)] });
  expect((await received).entries).toEqual(await listOf(runId));
});

test("a follower that goes leaves nothing behind", async () => {
  const runId = await logWith(3);
  const abort = new AbortController();
  const frames = following.frames(runId, { signal: abort.signal });
  await frames.next();
  const waiting = frames.next();
  abort.abort();
  expect(await waiting).toEqual({ done: true, value: undefined });
  expect(following.tails.size()).toBe(0);
  await eventually(async () => (await fixture.redis.pubsub("NUMSUB", logKeys(runId).news))[1] === 0);
  const gone = new AbortController();
  gone.abort();
  expect(await following.frames(runId, { signal: gone.signal }).next()).toEqual({ done: true, value: undefined });
});

test("an entry that nobody published is found by the poll", async () => {
  const runId = await logWith(1);
  const frames = following.frames(runId);
  await frames.next();
  const next = frames.next();
  await fixture.redis.rpush(logKeys(runId).list, '{"type":"unpublished"}');
  expect(await next).toMatchObject({ value: { first_seq: 1, entries: ['{"type":"unpublished"}'] } });
  await frames.return();
});

test("hints are used as they are: a follower at the end of the log reads nothing more", async () => {
  const run = await storedRun(fixture.log);
  const writer = fixture.writerOf(run);
  const received = following.receive(run.runId);
  await eventually(() => following.tails.size() === 1);
  await writer.durable([stepStarted(run.runId, 0)]);
  const before = following.counts.reads;
  for (let step = 1; step <= 200; step++) await writer.durable([stepStarted(run.runId, step)]);
  await writer.end([completed(run.runId)], 2);
  expect((await received).entries).toEqual(await listOf(run.runId));
  // Two first looks may still be under way, and the poll looks once a second.
  expect(following.counts.reads - before).toBeLessThan(6);
});

test("a lost log that is rebuilt comes with one resync, and then everything", async () => {
  const run = await storedRun(fixture.log);
  const writer = fixture.writerOf(run);
  const ensure: EnsureLog = () => run.recover();
  const all = Array.from({ length: 20 }, () => following.receive(run.runId, undefined, { ensure }));
  for (let step = 0; step < 60; step++) {
    if (step === 30) await fixture.lose(run);
    void writer.preview(delta(run.runId, "m", `text ${step} `));
    run.stored.push(stepStarted(run.runId, step));
    await writer.durable(run.stored.slice(-1));
  }
  run.stored.push(completed(run.runId));
  await writer.end(run.stored.slice(-1), 2);
  const list = await listOf(run.runId);
  expect(list.filter((entry) => entry.includes('"resync"'))).toHaveLength(1);
  for (const { entries, epochs } of await Promise.all(all)) {
    expect(epochs.at(-1)).toBe(2);
    expect(epochs.length).toBeLessThanOrEqual(2);
    expect(entries.slice(-list.length)).toEqual(list);
    expect(entries.filter((entry) => entry.includes('"resync"'))).toHaveLength(1);
  }
  expect(
    list.flatMap((entry) => (entry.includes("step.started") ? [(JSON.parse(entry) as { step: number }).step] : [])),
  ).toEqual(Array.from({ length: 60 }, (_, step) => step));
});

test("an end that Postgres has noted and Redis has lost is missed: for who comes, and for who is there already", async () => {
  const runId = await logWith(3);
  const ensure: EnsureLog = async ({ seen }) => {
    expect(seen).toEqual({ epoch: 1, length: 6 });
    return fixture.log.open({ runId, attempt: 2, epoch: 2, events: [queued(runId), completed(runId)] });
  };
  const there = following.receive(runId, undefined, { ensure });
  await eventually(() => following.tails.size() === 1);
  const frames: RunFrame[] = [];
  const from = { after: { epoch: 1, seq: 4 }, end: { epoch: 1, seq: 5 }, ensure };
  for await (const frame of following.frames(runId, from)) frames.push(frame);
  const list = await listOf(runId);
  expect(frames.flatMap(({ epoch, entries }) => (epoch === 2 ? entries : []))).toEqual(list);
  expect((await there).entries.slice(-list.length)).toEqual(list);
});

test("without Redis nobody can begin to follow, and is told so", async () => {
  const runId = await logWith(1);
  const { proxy, client } = await fixture.brokenLog({ maxRetriesPerRequest: 0 });
  const there = openFollowing(client);
  expect((await there.receive(runId, undefined, { enough: () => true })).entries).toHaveLength(1);
  await proxy.set("refuse");
  expect(await codeOf(there.frames(testRun()))).toBe("unavailable");
  there.close();
});
