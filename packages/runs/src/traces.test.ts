import { type Database, openDatabase } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { aRun, aThread, aUser, createTestDatabase, type TestDatabase, type TestThread } from "@cortex/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { claimDueTraces, dropOldTraces, noteTraced, readTracedRun } from "./traces.ts";

let database: TestDatabase;
let worker: Database;
let thread: TestThread;
beforeAll(async () => {
  database = await createTestDatabase();
  worker = openDatabase({ url: database.workerUrl, poolSize: 4, name: "test", log: silentLogger() });
  const user = await aUser(database.owner);
  thread = await aThread(database.owner, { accountId: user.accountId });
});
afterAll(async () => {
  await worker.close();
  await database.drop();
});
beforeEach(() => database.owner.query("update cortex.agent_runs set trace_due_at = null"));

const anEndedRun = async (ago = "0 seconds"): Promise<string> => {
  const { runId } = await aRun(database.owner, { ...thread, status: "running" });
  await database.owner.query("update cortex.agent_runs set status = 'completed' where id = $1", [runId]);
  await database.owner.query(
    "update cortex.agent_runs set trace_due_at = now() - $2::interval, completed_at = now() - $2::interval where id = $1",
    [runId, ago],
  );
  return runId;
};
const claim = async (batch = 10) =>
  (await claimDueTraces(worker.db, { batch, holdMs: 60_000 })).map((due) => due.runId).toSorted();
const dueIn = async (runId: string): Promise<number | null> => {
  const { rows } = await database.owner.query<{ seconds: number | null }>(
    "select extract(epoch from trace_due_at - now())::float8 as seconds from cortex.agent_runs where id = $1",
    [runId],
  );
  return rows[0]?.seconds ?? null;
};

test("the end of a run puts its trace in the line, and nothing else does", async () => {
  const { runId } = await aRun(database.owner, { ...thread, status: "running" });
  expect(await dueIn(runId)).toBeNull();
  await database.owner.query("update cortex.agent_runs set status = 'failed' where id = $1", [runId]);
  expect(await claim()).toEqual([runId]);
});

test("of many senders each takes others, and what one has taken is kept from the rest for a while", async () => {
  const runs = await Promise.all(Array.from({ length: 12 }, () => anEndedRun()));
  const taken = (await Promise.all(Array.from({ length: 4 }, () => claim(3)))).flat();
  const rest = await claim(100);
  expect([...taken, ...rest].toSorted()).toEqual(runs.toSorted());
  expect(await claim(100)).toEqual([]);
});

test("what could not be sent comes again, the later the older it is", async () => {
  const [young, old] = [await anEndedRun(), await anEndedRun("8 hours")];
  await claim();
  expect(await dueIn(young)).toBeGreaterThan(50);
  expect(await dueIn(young)).toBeLessThan(70);
  expect(await dueIn(old)).toBeGreaterThan(2 * 3_600 - 60);
});

test("sent everywhere, it leaves the line; sent to one of two, that is remembered", async () => {
  const runId = await anEndedRun();
  await noteTraced(worker.db, { runId, tracedTo: ["otlp"], done: false });
  expect(await claimDueTraces(worker.db, { batch: 1, holdMs: 0 })).toEqual([
    { runId, accountId: thread.accountId, tracedTo: ["otlp"] },
  ]);
  await noteTraced(worker.db, { runId, tracedTo: ["otlp", "langfuse"], done: true });
  expect(await dueIn(runId)).toBeNull();
});

test("after a week nobody waits for it any more", async () => {
  const [young, old] = [await anEndedRun("6 days"), await anEndedRun("8 days")];
  expect(await dropOldTraces(worker.db, { batch: 100 })).toBe(1);
  expect(await dueIn(old)).toBeNull();
  expect(await dueIn(young)).not.toBeNull();
});

test("a run that has not ended, and one that is gone, have no trace", async () => {
  const { runId } = await aRun(database.owner, { ...thread, status: "running" });
  expect(await readTracedRun(worker.db, { runId, accountId: thread.accountId })).toBeNull();
  expect(await readTracedRun(worker.db, { runId: thread.threadId, accountId: thread.accountId })).toBeNull();
});
