import type { UnplacedEvent } from "@cortex/contracts";
import { asAccount, openDatabase } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { aThread, aUser, aWorker, createTestDatabase } from "@cortex/testing";
import { expect } from "vitest";
import { type ClaimedRun, claimRun } from "../claim-run.ts";
import { durableEvents, eventIdentity } from "../durable-events.ts";
import { openLog } from "../ensure-log.ts";
import type { Outlast } from "../outlast.ts";
import { createRecorder } from "../recorder.ts";
import type { Delivery } from "../run.ts";
import { runFacts } from "../run-facts.ts";
import { readRunInput } from "../run-input.ts";
import { defaultRunSettings } from "../settings.ts";
import { startRun, type StartRunInput } from "../start-run.ts";
import { createMemoryLog } from "./memory-log.ts";

export const startInput = (input: { userId: string; threadId: string } & Partial<StartRunInput>): StartRunInput => ({
  accountId: null,
  requestId: "req-1",
  agentId: null,
  model: null,
  prompt: "hello",
  maxCostUsd: null,
  tools: null,
  metadata: {},
  ...input,
});

/** One try is enough for what these tests do. */
export const untried: Outlast = (work) => work();

/** A database with a large fleet, a log in memory, and what a worker does with a run, step by step. */
export const createRunFixture = async () => {
  const database = await createTestDatabase();
  const options = { poolSize: 8, name: "test", log: silentLogger() };
  const api = openDatabase({ ...options, url: database.apiUrl });
  const worker = openDatabase({ ...options, url: database.workerUrl });
  await aWorker(database.owner, { concurrency: 1_000 });
  // It is heard of for as long as the tests may take on a busy machine.
  await database.owner.query("update cortex.workers set heartbeat_at = now() + interval '1 hour'");
  const delivered: Delivery[] = [];
  const log = createMemoryLog();

  const deps = () => ({
    db: api.db,
    deliver: (delivery: Delivery) => void delivered.push(delivery),
    defaultModel: "demo",
    checkModel: () => undefined,
  });

  const aStart = async (options: { planId?: string } = {}) => {
    const user = await aUser(database.owner, options);
    const thread = await aThread(database.owner, { accountId: user.accountId });
    return { ...user, ...thread };
  };

  const aClaimedRun = async () => {
    const place = await aStart({ planId: "local" });
    const started = await startRun(deps(), startInput(place));
    const run = await claim(started.agent_run_id);
    return { place, run };
  };

  const claim = async (runId: string): Promise<ClaimedRun> => {
    const run = await claimRun(worker.db, { runId, workerId: "w1", settings: defaultRunSettings });
    if (!run) throw new Error("the claim was refused");
    return run;
  };

  const aRecorder = async (run: ClaimedRun, over = { db: worker.db, outlast: untried }) => {
    const state = await openLog({ db: worker.db, log }, run);
    const input = await readRunInput(worker.db, run);
    const recorder = createRecorder(
      { ...over, sink: log.sink(run.id, state) },
      { run, nextSeq: input.nextSeq, firstStep: input.firstStep, resumed: input.left?.open ?? null },
    );
    return { recorder, input };
  };

  const one = async <Row>(sql: string, values: unknown[]): Promise<Row> =>
    (await database.owner.query(sql, values)).rows[0] as Row;

  const factsOf = (runId: string, accountId: string) =>
    asAccount(worker.db, { accountId }, (tx) => runFacts(tx, { runId }));

  /** What Postgres says the log must hold is what it holds, previews aside. */
  const expectExactLog = async (runId: string, accountId: string) => {
    const facts = await factsOf(runId, accountId);
    if (!facts) throw new Error("no such run");
    const held = log.entries(runId).filter((event) => !event.type.endsWith(".delta") && event.type !== "resync");
    expect(held.map(eventIdentity)).toEqual(durableEvents(facts).map(eventIdentity));
    const timeless = (events: readonly UnplacedEvent[]) =>
      events.map(({ at: _at, ...event }) => ({ ...event, duration_ms: 0, seq: 0 }));
    expect(timeless(held)).toEqual(timeless(durableEvents(facts)));
  };

  /** Its worker is gone: the next claim gets the run. */
  const loseWorker = (runId: string) =>
    database.owner.query("update cortex.agent_runs set lease_until = now() - interval '1 second' where id = $1", [
      runId,
    ]);

  /** Somebody writes to the thread. */
  const post = (to: { threadId: string; accountId: string }, text: string) =>
    database.owner.query(
      `with t as (update cortex.threads set next_seq = next_seq + 1 where id = $1 returning next_seq - 1 as seq)
       insert into cortex.messages (account_id, thread_id, seq, role, content)
       select $2, $1, seq, 'user', jsonb_build_array(jsonb_build_object('type', 'text', 'text', $3::text)) from t`,
      [to.threadId, to.accountId, text],
    );

  const close = async () => {
    await Promise.all([api.close(), worker.close()]);
    await database.drop();
  };
  return {
    database,
    api,
    worker,
    delivered,
    log,
    deps,
    aStart,
    aClaimedRun,
    claim,
    aRecorder,
    one,
    factsOf,
    expectExactLog,
    loseWorker,
    post,
    close,
  };
};
