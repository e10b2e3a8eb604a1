import { eventually } from "@cortex/testing";
import type { RedisOptions } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createHandClock } from "./testing/hand-clock.ts";
import { type LogFixture, openLogFixture } from "./testing/log-fixture.ts";
import { completed, delta, messageCompleted, stepStarted, storedRun } from "./testing/sample-events.ts";

let fixture: LogFixture;

beforeAll(async () => {
  fixture = await openLogFixture();
});
afterAll(() => fixture.close());

test.each<[string, RedisOptions]>([
  ["the connection resends what was not answered", { autoResendUnfulfilledCommands: true, commandTimeout: 5_000 }],
  ["the caller hears of the failure", { maxRetriesPerRequest: 0 }],
])("an append whose answer is lost is applied once: %s", async (_name, options) => {
  const run = await storedRun(fixture.log);
  const { proxy, log: throughProxy } = await fixture.brokenLog(options);
  const writer = fixture.writerOf(run, { log: throughProxy, settings: { flushMs: 0 } });
  await writer.durable([stepStarted(run.runId, 0)]);
  for (let step = 1; step <= 5; step++) {
    await proxy.set("mute");
    const given = step === 5 ? writer.end([completed(run.runId)], 2) : writer.durable([stepStarted(run.runId, step)]);
    await eventually(async () => (await fixture.entriesOf(run)).length === 2 + step);
    proxy.cut();
    await proxy.set("pass");
    await given;
  }
  expect(await fixture.storyOf(run)).toEqual([
    "run.queued",
    ...[0, 1, 2, 3, 4].map((step) => `step.started ${step}`),
    "run.completed",
  ]);
  expect(run.recoveries).toBe(0);
});

test("while Redis is away for a moment durable events wait and nobody else does; afterwards the log goes on", async () => {
  const run = await storedRun(fixture.log);
  const { proxy, log: throughProxy } = await fixture.brokenLog({ maxRetriesPerRequest: 0 });
  const writer = fixture.writerOf(run, { log: throughProxy, settings: { previewRetryMs: 50, bufferSize: 100 } });
  await writer.durable([stepStarted(run.runId, 0)]);
  await proxy.set("refuse");
  for (let count = 0; count < 100; count++) {
    await writer.preview(delta(run.runId, "m", "0123456789"));
    await Promise.resolve();
  }
  const whole = messageCompleted(run.runId, "m", "0123456789".repeat(100));
  run.stored.push(whole);
  const given = writer.durable([whole]);
  await writer.preview(delta(run.runId, "n", "during"));
  await proxy.set("pass");
  await given;
  await writer.durable([stepStarted(run.runId, 1)]);
  expect(writer.isBehind()).toBe(false);
  expect(run.recoveries).toBe(0);
  const story = await fixture.storyOf(run);
  expect(story.filter((line) => !line.startsWith("delta"))).toEqual([
    "run.queued",
    "step.started 0",
    "message.completed 000000",
    "step.started 1",
  ]);
  const shown = story.slice(2, story.indexOf("message.completed 000000")).map((line) => line.slice(6));
  expect("0123456789".repeat(100).startsWith(shown.join(""))).toBe(true);
});

test("if Redis stays away the run goes on; the log is behind and is rebuilt later", async () => {
  const run = await storedRun(fixture.log);
  const { proxy, log: throughProxy } = await fixture.brokenLog({ maxRetriesPerRequest: 0, commandTimeout: 50 });
  const recovering = {
    ...run,
    recover: async () => (await throughProxy.read({ runId: run.runId, from: 0, limit: 0 }), run.recover()),
  };
  const writer = fixture.writerOf(recovering, {
    log: throughProxy,
    settings: { durableRetryMs: 150, previewRetryMs: 20 },
  });
  await writer.durable([stepStarted(run.runId, 0)]);
  run.stored.push(stepStarted(run.runId, 0));
  await proxy.set("blackhole");
  const steps = [1, 2, 3].map((step) => stepStarted(run.runId, step));
  for (const step of steps) {
    run.stored.push(step);
    await writer.durable([step]);
    void writer.preview(delta(run.runId, "m", "unseen"));
  }
  expect(writer.isBehind()).toBe(true);
  expect(await writer.end([], 1)).toBe(null);
  // What Redis lost meanwhile is found out by the recovery.
  await fixture.lose(run);
  await proxy.set("pass");
  proxy.cut();
  await eventually(() => throughProxy.read({ runId: run.runId, from: 0, limit: 0 }).then(() => true));
  const last = stepStarted(run.runId, 4);
  run.stored.push(last);
  await writer.durable([last]);
  await eventually(() => !writer.isBehind());
  expect(await fixture.storyOf(run)).toEqual([
    "resync",
    "run.queued",
    ...[0, 1, 2, 3, 4].map((step) => `step.started ${step}`),
  ]);
  expect(writer.position().epoch).toBe(2);
});

test("a log that is behind comes back by itself, though nothing happens in its run", async () => {
  const run = await storedRun(fixture.log);
  const { proxy, log: throughProxy } = await fixture.brokenLog({ maxRetriesPerRequest: 0 });
  const { clock, advance } = createHandClock();
  const recover = async () => (await throughProxy.read({ runId: run.runId, from: 0, limit: 0 }), run.recover());
  const writer = fixture.writerOf({ ...run, recover }, { log: throughProxy, clock, settings: { durableRetryMs: 0 } });
  await eventually(async () => (await throughProxy.read({ runId: run.runId, from: 0, limit: 0 })) !== null);
  await proxy.set("refuse");
  await writer.durable([stepStarted(run.runId, 0)]);
  expect(writer.isBehind()).toBe(true);
  await proxy.set("pass");
  await eventually(() => {
    advance(1_000);
    return !writer.isBehind();
  });
  expect(run.recoveries).toBeGreaterThan(0);
});

test("whoever gives previews faster than Redis takes them is asked to wait, and the buffer stays within its bound", async () => {
  const run = await storedRun(fixture.log);
  const { proxy, log: throughProxy } = await fixture.brokenLog({ commandTimeout: 5_000 });
  const writer = fixture.writerOf(run, { log: throughProxy, settings: { bufferSize: 1_000, flushMs: 0 } });
  await writer.durable([stepStarted(run.runId, 0)]);
  await proxy.set("blackhole");
  const text = "x".repeat(100);
  let given = 0;
  let full: Promise<void> | undefined;
  while (!full && given < 1_000) {
    full = writer.preview(delta(run.runId, "m", text)) ?? undefined;
    given += 1;
  }
  // One is in flight, ten fill the buffer, one is too much.
  expect(given).toBe(12);
  await proxy.set("pass");
  await full;
  await writer.durable([stepStarted(run.runId, 1)]);
  expect(
    (await fixture.entriesOf(run)).flatMap((entry) => (entry.type === "message.delta" ? entry.text : [])).join(""),
  ).toBe(text.repeat(12));
});

test("a writer that began without Redis holds nobody up, and brings the log up when it is there", async () => {
  const run = await storedRun(fixture.log);
  const { proxy, log: throughProxy } = await fixture.brokenLog({ maxRetriesPerRequest: 0 });
  await fixture.lose(run);
  await proxy.set("refuse");
  const recover = async () => (await throughProxy.read({ runId: run.runId, from: 0, limit: 0 }), run.recover());
  const writer = fixture.writerOf({ ...run, recover }, { log: throughProxy, behind: true });
  const steps = [0, 1, 2].map((step) => stepStarted(run.runId, step));
  for (const step of steps) {
    run.stored.push(step);
    await writer.durable([step]);
  }
  expect(writer.isBehind()).toBe(true);
  await proxy.set("pass");
  await eventually(() => !writer.isBehind());
  const last = stepStarted(run.runId, 3);
  run.stored.push(last);
  await writer.durable([last]);
  expect((await fixture.storyOf(run)).filter((entry) => entry.startsWith("step"))).toEqual(
    [0, 1, 2, 3].map((step) => `step.started ${step}`),
  );
  expect(new Set(await fixture.storyOf(run)).size).toBe((await fixture.storyOf(run)).length);
});

test("a message that began while Redis was away is not shown from its middle on", async () => {
  const run = await storedRun(fixture.log);
  const { proxy, log: throughProxy } = await fixture.brokenLog({ maxRetriesPerRequest: 0 });
  await proxy.set("refuse");
  const recover = async () => (await throughProxy.read({ runId: run.runId, from: 0, limit: 0 }), run.recover());
  const writer = fixture.writerOf({ ...run, recover }, { log: throughProxy, behind: true });
  await writer.preview(delta(run.runId, "m", "its beginning, "));
  await proxy.set("pass");
  await eventually(() => !writer.isBehind());
  await writer.preview(delta(run.runId, "m", "its middle"));
  await writer.preview(delta(run.runId, "n", "another"));
  await writer.durable([stepStarted(run.runId, 0)]);
  expect(await fixture.storyOf(run)).toEqual(["run.queued", "delta another", "step.started 0"]);
});

test("a log that was brought to its end from what is stored: its writer hears where that is, and is not superseded", async () => {
  const run = await storedRun(fixture.log);
  const { proxy, log: throughProxy } = await fixture.brokenLog({ maxRetriesPerRequest: 0 });
  const recover = async () => (await throughProxy.read({ runId: run.runId, from: 0, limit: 0 }), run.recover());
  const writer = fixture.writerOf({ ...run, recover }, { log: throughProxy, settings: { durableRetryMs: 0 } });
  await proxy.set("refuse");
  await writer.durable([stepStarted(run.runId, 0)]);
  expect(writer.isBehind()).toBe(true);
  // Ended in Postgres, and a sweep has closed the log, before this writer says so.
  const epoch = 1;
  const { length } = run.stored;
  await fixture.log.append({ runId: run.runId, attempt: 2, epoch, length, events: [completed(run.runId, 1)] });
  await proxy.set("pass");
  await eventually(() => throughProxy.read({ runId: run.runId, from: 0, limit: 0 }).then(() => true));
  await eventually(() =>
    Promise.resolve(writer.preview(delta(run.runId, "m", "late"))).then(
      () => false,
      () => true,
    ),
  );
  expect(await writer.end([completed(run.runId, 1)], 2)).toBe(`1.${length}`);
});
