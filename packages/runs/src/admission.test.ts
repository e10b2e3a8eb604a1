import { silentLogger } from "@cortex/observability";
import { type Database, openDatabase } from "@cortex/db";
import { aGrant, aRun, aThread, aUser, createTestDatabase, eventually, type TestDatabase } from "@cortex/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { admitRuns } from "./admission.ts";
import { announceWorker } from "./fleet.ts";
import type { Delivery } from "./run.ts";
import { startRun } from "./start-run.ts";
import { startInput } from "./testing/run-fixture.ts";

let database: TestDatabase;
let api: Database;
let worker: Database;
let delivered: Delivery[];
const deliver = (delivery: Delivery) => void delivered.push(delivery);

beforeEach(async () => {
  database = await createTestDatabase();
  const options = { poolSize: 8, name: "test", log: silentLogger() };
  api = openDatabase({ ...options, url: database.apiUrl });
  worker = openDatabase({ ...options, url: database.workerUrl });
  delivered = [];
});
afterEach(async () => {
  await Promise.all([api.close(), worker.close()]);
  await database.drop();
});

const admit = (batch = 100) => admitRuns({ db: worker.db, deliver }, { batch });
const start = async (user: { userId: string; accountId: string }) => {
  const { threadId } = await aThread(database.owner, { accountId: user.accountId });
  const deps = { db: api.db, deliver, defaultModel: "demo", checkModel: () => undefined };
  return startRun(deps, startInput({ userId: user.userId, threadId }));
};
const fleetOf = (concurrency: number) => announceWorker(worker.db, { workerId: "w", concurrency, draining: false });

test("starts and admissions at the same moment keep a plan's limit of parallel runs exactly", async () => {
  await fleetOf(100);
  await database.owner.query(
    `insert into cortex.plans (id, name, unlimited, max_parallel_runs) values ('two', 'Two', true, 2)`,
  );
  const user = await aUser(database.owner, { planId: "two" });
  await Promise.all(Array.from({ length: 24 }, (_, n) => (n % 4 === 3 ? admit() : start(user))));
  await admit();
  expect(delivered).toHaveLength(2);
});

test("an account at its limit, with whatever it has waiting, does not hold up another's start", async () => {
  await fleetOf(2);
  const crowd = await aUser(database.owner, { planId: "free" });
  await aGrant(database.owner, { accountId: crowd.accountId, usd: "1" });
  for (let n = 0; n < 8; n++) await aRun(database.owner, { accountId: crowd.accountId, status: "queued" });
  expect(await admit()).toBe(1);
  const { agent_run_id } = await start(await aUser(database.owner, { planId: "local" }));
  expect(delivered.map(({ runId }) => runId)).toContain(agent_run_id);
});

test("processes that admit at the same moment fill the fleet and no more", async () => {
  await fleetOf(4);
  const { accountId } = await aUser(database.owner, { planId: "local" });
  for (let n = 0; n < 30; n++) await aRun(database.owner, { accountId, status: "queued" });
  await Promise.all(Array.from({ length: 8 }, () => admit(3)));
  expect(delivered).toHaveLength(6);
});

test("an admission passes over a run that is being stopped and blocks nobody", async () => {
  await fleetOf(4);
  const { runId } = await aRun(database.owner, { status: "queued" });
  const other = await aRun(database.owner, { status: "queued" });
  const stopping = await database.owner.connect();
  try {
    await stopping.query("begin");
    await stopping.query("update cortex.agent_runs set stop_requested_at = now() where id = $1", [runId]);
    const admitted = admit();
    await eventually(() => delivered.length > 0, { timeoutMs: 2_000 });
    await stopping.query("delete from cortex.outbox where run_id = $1", [runId]);
    await stopping.query("commit");
    expect(await admitted).toBe(1);
    expect(delivered).toEqual([{ runId: other.runId, delivery: 1 }]);
  } finally {
    stopping.release(true);
  }
});
