import { eventually } from "@cortex/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createWorkplace, type Workplace } from "./testing/worker-fixture.ts";

let place: Workplace;
beforeEach(async () => {
  place = await createWorkplace();
});
afterEach(() => place.close());

test("three workers on one machine share the load", async () => {
  await Promise.all([place.aWorker(), place.aWorker(), place.aWorker()]);
  const runs = await Promise.all(Array.from({ length: 24 }, () => place.start("[[tokens=20]] [[delay=20]]")));
  const rows = await Promise.all(runs.map(({ runId }) => place.ended(runId, 15_000)));
  const byWorker = Map.groupBy(rows, (row) => row.worker_id);
  expect([...byWorker.keys()].toSorted()).toEqual(["w1", "w2", "w3"]);
  for (const row of rows) expect(row).toMatchObject({ status: "completed", terminal_writes: 1 });
});

test("runs that nobody could take are taken when a worker comes, even if Redis forgot them", async () => {
  const { runId } = await place.start("hello");
  expect(await place.rowOf(runId)).toMatchObject({ status: "queued" });
  await place.aWorker();
  expect(await place.ended(runId)).toMatchObject({ status: "completed" });
});

test("a worker that is told to go hands its run over at once, and the run goes on at its last step", async () => {
  const workers = await Promise.all([place.aWorker(), place.aWorker()]);
  const { runId, threadId } = await place.start('[[tool=calculator {"expression":"6*7"}]] [[tokens=60]] [[delay=50]]');
  await eventually(async () => (await place.events(runId)).some((event) => event.type === "step.completed"));
  const holder = (await place.rowOf(runId)).worker_id;
  const [first, second] = workers[0].id === holder ? workers : [workers[1], workers[0]];
  const ended = await first.stop();
  expect(ended.code).toBe(0);
  // The bar is 2 s on a machine that has nothing else to do; by itself it would end after 20 s.
  expect(ended.ms).toBeLessThan(10_000);
  const row = await place.ended(runId, 15_000);
  expect(row).toMatchObject({ status: "completed", worker_id: second.id, attempt: 3, terminal_writes: 1 });
  const events = await place.events(runId);
  expect(events.filter((event) => event.type === "attempt.started")).toHaveLength(1);
  expect(events.filter((event) => event.type === "tool_call.completed")).toHaveLength(1);
  expect((await place.messages(threadId)).map((message) => message.role)).toEqual([
    "user",
    "assistant",
    "tool",
    "assistant",
  ]);
});

test("a worker that is killed loses no run", async () => {
  const settings = { RUN_LEASE_MS: "1500", RUN_HEARTBEAT_MS: "200", RUN_SWEEP_MS: "1000" };
  const first = await place.aWorker(settings);
  const { runId } = await place.start('[[tool=calculator {"expression":"6*7"}]] [[tokens=60]] [[delay=50]]');
  await eventually(async () => (await place.events(runId)).some((event) => event.type === "step.completed"));
  first.signal("SIGKILL");
  await place.aWorker(settings);
  expect(await place.ended(runId, 20_000)).toMatchObject({ status: "completed", worker_id: "w2", terminal_writes: 1 });
});

test("a worker that has gone is off the list of the fleet, and stays off", async () => {
  const worker = await place.aWorker({ RUN_HEARTBEAT_MS: "50" });
  expect((await worker.stop()).code).toBe(0);
  const { rows } = await place.database.owner.query("select id from cortex.workers");
  expect(rows).toEqual([]);
});

test("a worker refuses nonsense in its environment with one line per mistake", async () => {
  await expect(place.aWorker({ DATABASE_URL: "nonsense", WORKER_CONCURRENCY: "many" })).rejects.toThrow(
    /DATABASE_URL[\s\S]*WORKER_CONCURRENCY/,
  );
});

test.for([
  [{ FAILPOINTS: "step.somewhere=crash", FAILPOINTS_FILE: "hits" }, /no failpoint step\.somewhere/],
  [{ MECHANISMS_OFF: "fence", NODE_ENV: "production" }, /not with NODE_ENV=production/],
] as const)("a worker refuses faults that nobody can mean: %j", async ([env, message]) => {
  await expect(place.aWorker(env)).rejects.toThrow(message);
});
