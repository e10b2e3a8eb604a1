import type { RunEvent } from "@cortex/contracts";
import { eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FencedError } from "./fenced-error.ts";
import { createHandClock } from "./testing/hand-clock.ts";
import { type LogFixture, openLogFixture } from "./testing/log-fixture.ts";
import {
  completed,
  delta,
  messageCompleted,
  queued,
  started,
  stepStarted,
  storedRun,
} from "./testing/sample-events.ts";

let fixture: LogFixture;

beforeAll(async () => {
  fixture = await openLogFixture();
});
afterAll(() => fixture.close());

test("the first preview goes out at once, its followers as one entry after the pause", async () => {
  const run = await storedRun(fixture.log);
  const { clock, advance } = createHandClock();
  const writer = fixture.writerOf(run, { clock });
  void writer.preview(delta(run.runId, "m", "a"));
  await eventually(async () => (await fixture.entriesOf(run)).length === 2);
  for (const text of ["b", "c", "d"]) void writer.preview(delta(run.runId, "m", text));
  void writer.preview(delta(run.runId, "n", "e"));
  advance(14);
  expect(await fixture.storyOf(run)).toEqual(["run.queued", "delta a"]);
  advance(1);
  await eventually(async () => (await fixture.entriesOf(run)).length === 4);
  expect(await fixture.storyOf(run)).toEqual(["run.queued", "delta a", "delta bcd", "delta e"]);
});

test("durable events do not wait for the pause, and come after the previews given before them", async () => {
  const run = await storedRun(fixture.log);
  const { clock } = createHandClock();
  const writer = fixture.writerOf(run, { clock });
  for (const text of ["a", "b", "c"]) void writer.preview(delta(run.runId, "m", text));
  await writer.durable([messageCompleted(run.runId, "m", "abc"), stepStarted(run.runId, 1)]);
  void writer.preview(delta(run.runId, "n", "d"));
  await writer.durable([stepStarted(run.runId, 2)]);
  const story = await fixture.storyOf(run);
  expect(story.join(" ").replace("delta a delta bc", "delta abc")).toBe(
    "run.queued delta abc message.completed 000000 step.started 1 delta d step.started 2",
  );
});

test("many durable calls at once keep their order", async () => {
  const run = await storedRun(fixture.log);
  const writer = fixture.writerOf(run);
  await Promise.all(Array.from({ length: 100 }, (_, step) => writer.durable([stepStarted(run.runId, step)])));
  expect(await fixture.storyOf(run)).toEqual([
    "run.queued",
    ...Array.from({ length: 100 }, (_, step) => `step.started ${step}`),
  ]);
});

test("a full log takes no more previews and says so once, durable events go on", async () => {
  const run = await storedRun(fixture.log);
  const settings = { maxEvents: 4, flushMs: 0 };
  const writer = fixture.writerOf(run, { settings });
  for (let step = 0; step < 6; step++) {
    void writer.preview(delta(run.runId, `m${step}`, "text"));
    await writer.durable([stepStarted(run.runId, step)]);
  }
  const story = await fixture.storyOf(run);
  expect(story).toEqual([
    "run.queued",
    "delta text",
    "step.started 0",
    "delta text",
    "step.started 1",
    "log.truncated",
    ...[2, 3, 4, 5].map((step) => `step.started ${step}`),
  ]);
  // The next attempt's writer knows that it has been said.
  const next = fixture.writerOf(run, { attempt: 2, length: story.length, settings });
  void next.preview(delta(run.runId, "x", "text"));
  await next.durable([stepStarted(run.runId, 9)]);
  expect(await fixture.storyOf(run)).toEqual([...story, "step.started 9"]);
});

test("the bound counts bytes too", async () => {
  const run = await storedRun(fixture.log);
  const writer = fixture.writerOf(run, { settings: { maxBytes: 2_000, flushMs: 0 } });
  for (let step = 0; step < 5; step++) {
    void writer.preview(delta(run.runId, `m${step}`, "x".repeat(1_000)));
    await writer.durable([stepStarted(run.runId, step)]);
  }
  expect((await fixture.entriesOf(run)).map((entry) => entry.type).filter((type) => !type.startsWith("step"))).toEqual([
    "run.queued",
    "message.delta",
    "message.delta",
    "log.truncated",
  ]);
});

test("a lost log is rebuilt, goes on, and shows no message from its middle", async () => {
  const run = await storedRun(fixture.log);
  const writer = fixture.writerOf(run);
  void writer.preview(delta(run.runId, "m", "begin "));
  await eventually(async () => (await fixture.entriesOf(run)).length === 2);
  await fixture.lose(run);
  void writer.preview(delta(run.runId, "m", "middle "));
  await eventually(() => run.recoveries === 1);
  void writer.preview(delta(run.runId, "m", "end"));
  const whole = messageCompleted(run.runId, "m", "begin middle end");
  run.stored.push(whole);
  await writer.durable([whole]);
  void writer.preview(delta(run.runId, "n", "next"));
  await writer.durable([stepStarted(run.runId, 1)]);
  expect(await fixture.storyOf(run)).toEqual([
    "resync",
    "run.queued",
    "message.completed 000000",
    "delta next",
    "step.started 1",
  ]);
  expect(writer.position()).toEqual({ epoch: 2, length: 5 });
});

test("a durable event that the rebuilt log holds already is not written again, whoever rebuilt it and whenever", async () => {
  const run = await storedRun(fixture.log);
  const writer = fixture.writerOf(run);
  const steps = Array.from({ length: 4 }, (_, step) => stepStarted(run.runId, step));
  const [first, second, third, fourth] = steps as [RunEvent, RunEvent, RunEvent, RunEvent];
  run.stored.push(first);
  await writer.durable([first]);
  // Committed, not yet given; then the log is lost and somebody else rebuilds it.
  run.stored.push(second);
  await fixture.lose(run);
  await run.recover();
  run.stored.push(third);
  await writer.durable([third]);
  await writer.durable([second]);
  run.stored.push(fourth);
  await writer.durable([fourth]);
  expect(await fixture.storyOf(run)).toEqual([
    "resync",
    "run.queued",
    "step.started 0",
    "step.started 1",
    "step.started 2",
    "step.started 3",
  ]);
});

test("nor one that was committed before and given during the recovery", async () => {
  const run = await storedRun(fixture.log);
  const recover = Promise.withResolvers<void>();
  const slow = { ...run, recover: () => recover.promise.then(() => run.recover()) };
  const writer = fixture.writerOf(slow);
  await fixture.lose(run);
  void writer.preview(delta(run.runId, "m", "lost"));
  const step = stepStarted(run.runId, 0);
  run.stored.push(step);
  const given = writer.durable([step]);
  recover.resolve();
  await given;
  expect(await fixture.storyOf(run)).toEqual(["resync", "run.queued", "step.started 0"]);
});

test("a superseded writer is told so and writes nothing more", async () => {
  const run = await storedRun(fixture.log);
  const writer = fixture.writerOf(run);
  await writer.durable([stepStarted(run.runId, 0)]);
  await fixture.log.append({ runId: run.runId, attempt: 2, epoch: 1, length: 2, events: [started(run.runId)] });
  await expect(writer.durable([stepStarted(run.runId, 1)])).rejects.toThrow(FencedError);
  await expect(writer.durable([stepStarted(run.runId, 2)])).rejects.toThrow("superseded");
  await expect(writer.preview(delta(run.runId, "m", "late"))).rejects.toThrow("superseded");
  await writer.close();
  expect(await fixture.storyOf(run)).toEqual(["run.queued", "step.started 0", "attempt.started 1"]);
});

test("a superseded writer is told so even if the log was lost meanwhile", async () => {
  const run = await storedRun(fixture.log);
  const writer = fixture.writerOf(run);
  await fixture.lose(run);
  run.epoch = 2;
  await fixture.log.open({ runId: run.runId, attempt: 2, epoch: 2, events: run.stored });
  await expect(writer.durable([stepStarted(run.runId, 1)])).rejects.toThrow("superseded");
  expect(await fixture.storyOf(run)).toEqual(["resync", "run.queued"]);
});

test("ending closes the log under the raised attempt and tells the last cursor", async () => {
  const run = await storedRun(fixture.log);
  const writer = fixture.writerOf(run);
  void writer.preview(delta(run.runId, "m", "bye"));
  expect(await writer.end([completed(run.runId)], 2)).toBe("1.2");
  expect(await fixture.log.read({ runId: run.runId, from: 0, limit: 0 })).toMatchObject({
    closed: true,
    attempt: 2,
    length: 3,
  });
  await expect(writer.durable([stepStarted(run.runId, 1)])).rejects.toThrow("is closed");
});

test("an end that somebody else has written is an end", async () => {
  const run = await storedRun(fixture.log);
  const writer = fixture.writerOf(run);
  await fixture.log.append({ runId: run.runId, attempt: 2, epoch: 1, length: 1, events: [completed(run.runId)] });
  expect(await writer.end([completed(run.runId)], 2)).toBe("1.1");
  expect(await fixture.storyOf(run)).toEqual(["run.queued", "run.completed"]);
});

test("closing sends what is pending", async () => {
  const run = await storedRun(fixture.log);
  const { clock } = createHandClock();
  const writer = fixture.writerOf(run, { clock });
  await writer.durable([stepStarted(run.runId, 0)]);
  void writer.preview(delta(run.runId, "m", "last words"));
  await writer.close();
  expect((await fixture.storyOf(run)).at(-1)).toBe("delta last words");
  await expect(writer.durable([queued(run.runId)])).resolves.toBe(undefined);
});
