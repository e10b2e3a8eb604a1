import { noUsage } from "@cortex/contracts";
import { type Database, openDatabase } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { aRun, aThread, aUser, createTestDatabase, eventually, type TestDatabase } from "@cortex/testing";
import { afterEach, beforeEach, expect, test } from "vitest";
import { admitRuns } from "./admission.ts";
import { claimRun } from "./claim-run.ts";
import { announceWorker, heartbeat } from "./fleet.ts";
import { abandon, handOver } from "./hand-over.ts";
import { createLeaseKeeper } from "./lease.ts";
import { type Delivery, LeaseEnded } from "./run.ts";
import { defaultRunSettings } from "./settings.ts";
import { readRunInput } from "./run-input.ts";
import { sweepRuns } from "./sweep-runs.ts";
import { createMemoryLog } from "./testing/memory-log.ts";
import { untried } from "./testing/run-fixture.ts";

let database: TestDatabase;
let worker: Database;
let delivered: Delivery[];
/** Nobody gives up because the machine is busy; the tests about that say how soon. */
const settings = { ...defaultRunSettings, heartbeatMs: 20, giveUpAfterMs: 60_000 };

beforeEach(async () => {
  database = await createTestDatabase();
  worker = openDatabase({ url: database.workerUrl, poolSize: 8, name: "test", log: silentLogger() });
  delivered = [];
});
afterEach(async () => {
  await worker.close();
  await database.drop();
});

const deps = () => ({ db: worker.db, deliver: (delivery: Delivery) => void delivered.push(delivery) });
const sweepDeps = () => ({
  ...deps(),
  log: silentLogger(),
  jobState: async () => "absent" as const,
  eventLog: createMemoryLog(),
});
const keeper = (giveUpAfterMs = settings.giveUpAfterMs) =>
  createLeaseKeeper(
    { db: worker.db, log: silentLogger() },
    { workerId: "w", concurrency: 2, settings: { ...settings, giveUpAfterMs } },
  );
const set = (runId: string, assignments: string) =>
  database.owner.query(`update cortex.agent_runs set ${assignments} where id = $1`, [runId]);

const aWaitingRun = async (accountId: string) => (await aRun(database.owner, { accountId, status: "queued" })).runId;

test("admission fills the fleet and no more, in turns between accounts", async () => {
  await announceWorker(worker.db, { workerId: "w", concurrency: 4, draining: false });
  const crowd = await aUser(database.owner, { planId: "local" });
  const single = await aUser(database.owner, { planId: "local" });
  for (let n = 0; n < 20; n++) await aWaitingRun(crowd.accountId);
  const lonely = await aWaitingRun(single.accountId);

  // Four slots and a buffer of two.
  expect(await admitRuns(deps(), { batch: 100 })).toBe(6);
  expect(delivered.map((each) => each.runId)).toContain(lonely);
  expect(await admitRuns(deps(), { batch: 100 })).toBe(0);
});

test("processes that admit at the same moment admit each run once", async () => {
  await announceWorker(worker.db, { workerId: "w", concurrency: 100, draining: false });
  const { accountId } = await aUser(database.owner, { planId: "local" });
  for (let n = 0; n < 30; n++) await aWaitingRun(accountId);
  await Promise.all(Array.from({ length: 6 }, () => admitRuns(deps(), { batch: 10 })));
  await admitRuns(deps(), { batch: 100 });
  expect(delivered).toHaveLength(30);
  expect(new Set(delivered.map((each) => each.runId)).size).toBe(30);
});

test("a plan's limit of parallel runs holds an account back, and the queue says why", async () => {
  await announceWorker(worker.db, { workerId: "w", concurrency: 10, draining: false });
  const { accountId, userId } = await aUser(database.owner, { planId: "free" });
  const [first, second] = [await aWaitingRun(accountId), await aWaitingRun(accountId)];
  expect(await admitRuns(deps(), { batch: 10 })).toBe(1);
  expect(delivered).toEqual([{ runId: first, delivery: 1 }]);
  const state = await database.owner.query("select * from cortex.queue_state($1)", [second]);
  expect(state.rows).toEqual([{ position: 0, reason: "account_limit" }]);
  expect(userId).toBeDefined();
});

test("a fleet that drains or is gone gets nothing", async () => {
  const { accountId } = await aUser(database.owner, { planId: "local" });
  await aWaitingRun(accountId);
  expect(await admitRuns(deps(), { batch: 10 })).toBe(0);
  await announceWorker(worker.db, { workerId: "w", concurrency: 4, draining: true });
  expect(await admitRuns(deps(), { batch: 10 })).toBe(0);
  await announceWorker(worker.db, { workerId: "w", concurrency: 4, draining: false });
  expect(await admitRuns(deps(), { batch: 10 })).toBe(1);
});

test("a heartbeat renews, hears a stop, and notices a lost run", async () => {
  const { runId } = await aRun(database.owner, { admitted: true });
  const other = await aRun(database.owner, { admitted: true });
  const leases = keeper();
  for (const id of [runId, other.runId]) await claimRun(worker.db, { runId: id, workerId: "w", settings });
  const stopped = leases.hold({ runId, attempt: 1, claimedAt: performance.now() });
  const lost = leases.hold({ runId: other.runId, attempt: 1, claimedAt: performance.now() });
  await set(runId, "lease_until = now()");
  await eventually(async () => {
    const { rows } = await database.owner.query<{ ahead: boolean }>(
      "select lease_until > now() + interval '10 seconds' as ahead from cortex.agent_runs where id = $1",
      [runId],
    );
    return rows[0]?.ahead;
  });
  await set(runId, "stop_requested_at = now()");
  await set(other.runId, "attempt = attempt + 1");
  await eventually(() => stopped.signal.aborted && lost.signal.aborted);
  expect(stopped.signal.reason).toMatchObject(new LeaseEnded("stopped"));
  expect(lost.signal.reason).toMatchObject(new LeaseEnded("lost"));
  await leases.close();
});

test("a worker that cannot reach Postgres gives its runs up before their leases end", async () => {
  const { runId } = await aRun(database.owner, { admitted: true });
  await claimRun(worker.db, { runId, workerId: "w", settings });
  const leases = keeper(300);
  const lease = leases.hold({ runId, attempt: 1, claimedAt: performance.now() });
  await database.owner.query("revoke update on cortex.agent_runs from cortex_worker");
  await eventually(() => lease.signal.aborted);
  expect(lease.signal.reason).toMatchObject({ reason: "lost" });
  await leases.close();
});

test("a row that somebody holds keeps no other lease waiting, is not lost, and its stop is heard", async () => {
  const { runId } = await aRun(database.owner, { admitted: true });
  const other = await aRun(database.owner, { admitted: true });
  for (const id of [runId, other.runId]) await claimRun(worker.db, { runId: id, workerId: "w", settings });
  await set(runId, "stop_requested_at = now()");
  await set(other.runId, "lease_until = now()");
  const locker = await database.owner.connect();
  await locker.query("begin");
  await locker.query("select from cortex.agent_runs where id = $1 for update", [runId]);
  const leases = keeper();
  const locked = leases.hold({ runId, attempt: 1, claimedAt: performance.now() });
  const free = leases.hold({ runId: other.runId, attempt: 1, claimedAt: performance.now() });
  await eventually(async () => {
    const { rows } = await database.owner.query<{ ahead: boolean }>(
      "select lease_until > now() + interval '10 seconds' as ahead from cortex.agent_runs where id = $1",
      [other.runId],
    );
    return rows[0]?.ahead;
  });
  await eventually(() => locked.signal.aborted);
  expect(locked.signal.reason).toMatchObject({ reason: "stopped" });
  expect(free.signal.aborted).toBe(false);
  await locker.query("rollback");
  locker.release();
  await leases.close();
});

test("a heartbeat that is still on its way does not take back what its worker has let go", async () => {
  const runs = await Promise.all([1, 2].map(() => aRun(database.owner, { admitted: true })));
  const [handed, abandoned] = runs;
  if (!handed || !abandoned) throw new Error("no runs");
  for (const { runId } of runs) await claimRun(worker.db, { runId, workerId: "w", settings });
  const over = { db: worker.db, outlast: untried };
  await handOver(over, { runId: handed.runId, accountId: handed.accountId, attempt: 1, notBegun: [] });
  await abandon(over, { runId: abandoned.runId, attempt: 1 });
  const held = runs.map(({ runId }) => ({ runId, attempt: 1 }));
  await heartbeat(worker.db, { workerId: "w", concurrency: 1, leaseMs: 15_000, runs: held, closed: [], waiting: [] });
  for (const { runId } of runs) {
    expect(await claimRun(worker.db, { runId, workerId: "w2", settings })).toMatchObject({ attempt: 2 });
  }
});

test("a run that comes back to the worker that has not let go of it yet ends the earlier hold", async () => {
  const { runId } = await aRun(database.owner, { admitted: true });
  await claimRun(worker.db, { runId, workerId: "w", settings });
  await set(runId, "lease_until = now()");
  await claimRun(worker.db, { runId, workerId: "w", settings });
  const leases = keeper();
  const before = leases.hold({ runId, attempt: 1, claimedAt: performance.now() });
  const now = leases.hold({ runId, attempt: 2, claimedAt: performance.now() });
  expect(before.signal.reason).toMatchObject(new LeaseEnded("lost"));
  before.release();
  expect(leases.held()).toBe(1);
  expect(now.signal.aborted).toBe(false);
  await leases.close();
});

test("a claim whose answer came late is as old as its request", async () => {
  const { runId } = await aRun(database.owner, { admitted: true });
  await claimRun(worker.db, { runId, workerId: "w", settings });
  const leases = keeper();
  await database.owner.query("revoke update on cortex.agent_runs from cortex_worker");
  // Counted from the answer, it would be given up in a minute.
  const lease = leases.hold({ runId, attempt: 1, claimedAt: performance.now() - settings.giveUpAfterMs });
  await eventually(() => lease.signal.aborted);
  await leases.close();
});

test("the sweeper brings back what was lost and leaves alone what is held", async () => {
  const held = await aRun(database.owner, { status: "running" });
  const orphan = await aRun(database.owner, { status: "running" });
  const unclaimed = await aRun(database.owner, { admitted: true });
  await set(orphan.runId, "lease_until = now() - interval '1 minute'");
  await set(unclaimed.runId, "admitted_at = now() - interval '1 minute', delivery = 1");
  const swept = await sweepRuns(sweepDeps(), settings);
  expect(swept).toMatchObject({ redelivered: 2, ended: 0 });
  const ids = delivered.map((each) => each.runId);
  expect(ids).toEqual(expect.arrayContaining([orphan.runId, unclaimed.runId]));
  expect(ids).not.toContain(held.runId);
  expect(delivered.find((each) => each.runId === unclaimed.runId)).toEqual({ runId: unclaimed.runId, delivery: 2 });
});

test("the sweeper ends poison, grants stops of dead workers and closes logs", async () => {
  const poison = await aRun(database.owner, { status: "running" });
  const unheard = await aRun(database.owner, { status: "running" });
  const unclosed = await aRun(database.owner, { status: "queued" });
  await set(poison.runId, "lease_until = now() - interval '1 minute', attempts_since_step = 5");
  await set(unheard.runId, "lease_until = now() - interval '1 second', stop_requested_at = now()");
  await set(
    unclosed.runId,
    "attempt = 1, status = 'stopped', stop_receipt = $receipt$" +
      JSON.stringify({
        requested_at: new Date().toISOString(),
        stopped_at: new Date().toISOString(),
        aborted: [],
        killed: [],
        charged_usd: "0",
      }) +
      "$receipt$, completed_at = now() - interval '1 minute'",
  );
  const eventLog = createMemoryLog();
  const swept = await sweepRuns({ ...sweepDeps(), eventLog }, settings);
  expect(swept).toEqual({ redelivered: 0, ended: 2, logsClosed: 1, waitsLogged: 0 });
  const { rows } = await database.owner.query(
    "select id, status, error->>'code' as code, log_cursor from cortex.agent_runs where id = any($1) order by status",
    [[poison.runId, unheard.runId, unclosed.runId]],
  );
  expect(rows).toMatchObject([
    { id: poison.runId, status: "failed", code: "worker_lost" },
    { status: "stopped", code: null },
    { status: "stopped", code: null },
  ]);
  expect(rows.every((row: { log_cursor: string | null }) => row.log_cursor !== null)).toBe(true);
  expect(eventLog.entries(poison.runId).at(-1)).toMatchObject({ type: "run.failed", error: { code: "worker_lost" } });
});

test("a busy fleet gets no second delivery of what waits for it, a dead worker's run one", async () => {
  const waiting = await aRun(database.owner, { status: "running" });
  const held = await aRun(database.owner, { status: "running" });
  const fetched = await aRun(database.owner, { admitted: true });
  for (const { runId } of [waiting, held]) await set(runId, "lease_until = now() - interval '1 minute', delivery = 1");
  await set(fetched.runId, "admitted_at = now() - interval '1 minute', delivery = 1");
  const states = new Map<string, "waiting" | "active">([
    [waiting.runId, "waiting"],
    [held.runId, "active"],
    [fetched.runId, "active"],
  ]);
  const jobState = async ({ runId, delivery }: Delivery) =>
    delivery === 1 ? (states.get(runId) ?? "absent") : "waiting";
  expect(await sweepRuns({ ...sweepDeps(), jobState }, settings)).toMatchObject({ redelivered: 1 });
  expect(await sweepRuns({ ...sweepDeps(), jobState }, settings)).toMatchObject({ redelivered: 0 });
  expect(delivered).toEqual([{ runId: held.runId, delivery: 2 }]);
});

test("a queue that is away keeps no stop waiting", async () => {
  const orphans = await Promise.all([1, 2, 3].map(() => aRun(database.owner, { status: "running" })));
  for (const { runId } of orphans) await set(runId, "lease_until = now() - interval '1 minute'");
  const unheard = await aRun(database.owner, { status: "running" });
  await set(unheard.runId, "lease_until = now() - interval '1 second', stop_requested_at = now()");
  let asked = 0;
  const jobState = async () => {
    asked += 1;
    throw new Error("Redis is away");
  };
  expect(await sweepRuns({ ...sweepDeps(), jobState }, settings)).toMatchObject({ redelivered: 0, ended: 1 });
  expect(asked).toBe(1);
});

test("of two sweepers one works", async () => {
  const sweeps = await Promise.all(Array.from({ length: 5 }, () => sweepRuns(sweepDeps(), settings)));
  expect(sweeps.some((swept) => swept !== null)).toBe(true);
});

test("a hand-over is no lost attempt, and the successor need not wait", async () => {
  const thread = await aThread(database.owner);
  const { runId, accountId } = await aRun(database.owner, { thread, admitted: true });
  const first = await claimRun(worker.db, { runId, workerId: "w1", settings });
  await database.owner.query(
    `insert into cortex.run_steps (run_id, step, account_id, attempt, model, usage, seen_seq, started_at) values ($1, 0, $2, 1, 'demo', $3, 1, now())`,
    [runId, accountId, JSON.stringify(noUsage)],
  );
  for (const id of ["begun", "not begun"]) {
    await database.owner.query(
      `insert into cortex.tool_calls (run_id, call_id, account_id, step, position, name, arguments, effect, state, attempt)
       values ($1, $2, $3, 0, 0, 'shell', '{}', 'once', 'started', 1)`,
      [runId, id, accountId],
    );
  }
  await handOver({ db: worker.db, outlast: untried }, { runId, accountId, attempt: 1, notBegun: ["not begun"] });
  const next = await claimRun(worker.db, { runId, workerId: "w2", settings });
  expect(first?.attempt).toBe(1);
  expect(next).toMatchObject({ attempt: 2, attempts_since_step: 1 });
  const input = next && (await readRunInput(worker.db, next));
  const states = new Map(input?.left?.calls.map((call) => [call.call.id, call.state]));
  expect(states).toEqual(
    new Map([
      ["begun", "unknown"],
      ["not begun", "run"],
    ]),
  );
  // A superseded attempt hands nothing over.
  await handOver({ db: worker.db, outlast: untried }, { runId, accountId, attempt: 1, notBegun: [] });
  expect(await claimRun(worker.db, { runId, workerId: "w3", settings })).toBeNull();
});
