import { join } from "node:path";
import { isPreviewEvent, type RunEvent } from "@cortex/contracts";
import { createTestFolder, eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWorkplace, type WorkerProcess, type Workplace } from "./testing/worker-fixture.ts";

let place: Workplace;
/** Has one slot, so that whoever waits in it keeps everybody else out. */
let worker: WorkerProcess;
beforeAll(async () => {
  place = await createWorkplace();
  worker = await place.aWorker({ WORKER_CONCURRENCY: "1" });
});
afterAll(() => place.close());

const limitedOnce = (answer: string) => `[[fail=429*1 retry-after=600]] [[say=${answer}]] ${crypto.randomUUID()}`;

const waits = (runId: string) =>
  eventually(async () => (await place.rowOf(runId)).status === "waiting", { timeoutMs: 10_000 });

const set = (runId: string, change: string) =>
  place.database.owner.query(`update cortex.agent_runs set ${change} where id = $1`, [runId]);

const durable = (events: readonly RunEvent[]) =>
  events
    .filter((event) => !isPreviewEvent(event) && event.type !== "resync")
    .map(({ at: _at, seq: _seq, ...event }) => ({ ...event, duration_ms: 0 }));

test("429 with Retry-After frees the slot; the run goes on when its time has come, and its log says all of it", async () => {
  const limited = await place.start(limitedOnce("at last"));
  await waits(limited.runId);
  const other = await place.start("hello");
  expect(await place.ended(other.runId)).toMatchObject({ status: "completed" });
  expect(await place.rowOf(limited.runId)).toMatchObject({ status: "waiting", attempt: 1 });

  await set(limited.runId, "resume_at = now()");
  expect(await place.ended(limited.runId)).toMatchObject({ status: "completed", attempt: 3, terminal_writes: 1 });
  expect((await place.messages(limited.threadId)).at(-1)?.text).toBe("at last");
  await eventually(async () => (await place.events(limited.runId)).at(-1)?.type === "run.completed");
  const events = await place.events(limited.runId);
  expect(events.map((event) => event.seq)).toEqual(events.map((_, index) => index));
  expect(durable(events).map((event) => event.type)).toEqual([
    ...["run.queued", "run.started", "step.started", "run.waiting", "attempt.started", "run.resumed"],
    ...["message.completed", "step.completed", "run.completed"],
  ]);
  const rebuilt = await place.rebuiltLog(limited.runId);
  expect(rebuilt[0]).toMatchObject({ type: "resync" });
  expect(durable(rebuilt)).toEqual(durable(events));
});

test("a stop of a run that waits ends it before anything else happens", async () => {
  const { runId } = await place.start(limitedOnce("never"));
  await waits(runId);
  expect(await place.stop(runId)).toMatchObject({ status: "stopped" });
  expect(await place.rowOf(runId)).toMatchObject({ status: "stopped", terminal_writes: 1 });
});

test("the deadline ends a run that waits; a wait that would end behind it is not begun", async () => {
  const { runId } = await place.start(limitedOnce("too late"));
  await waits(runId);
  await set(runId, "deadline_at = now()");
  expect(await place.ended(runId)).toMatchObject({ status: "failed", error: { code: "deadline_exceeded" } });
  const { runId: hopeless } = await place.start(`[[fail=429 retry-after=9999]] ${crypto.randomUUID()}`);
  expect(await place.ended(hopeless)).toMatchObject({ status: "failed", error: { code: "model_rate_limited" } });
});

test("a worker that is killed right after its run began to wait loses nothing", async () => {
  await worker.stop();
  const dying = await place.aWorker({
    FAILPOINTS: "park.after_commit=crash",
    FAILPOINTS_FILE: join(createTestFolder(), "hits"),
  });
  const { runId } = await place.start(limitedOnce("still here"));
  await waits(runId);
  await dying.ended();
  expect((await place.events(runId)).map((event) => event.type)).not.toContain("run.waiting");
  // For the test behind this one.
  await place.aWorker({ RUN_MAX_WAIT_MS: "1" });
  await set(runId, "resume_at = now()");
  expect(await place.ended(runId, 20_000)).toMatchObject({ status: "completed", terminal_writes: 1 });
  await eventually(async () => (await place.events(runId)).at(-1)?.type === "run.completed");
  const events = await place.events(runId);
  expect(durable(events)).toEqual(durable(await place.rebuiltLog(runId)));
});

test("a provider that limits for longer than the run may wait fails it with the model's code", async () => {
  const { runId } = await place.start("[[fail=429]]");
  expect(await place.ended(runId)).toMatchObject({ status: "failed", error: { code: "model_rate_limited" } });
});
