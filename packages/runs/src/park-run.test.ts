import type { RunEvent } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { eventually } from "@cortex/testing";
import { afterAll, expect, test } from "vitest";
import { admitRuns } from "./admission.ts";
import { closeLog } from "./close-log.ts";
import { deleteRun } from "./delete-run.ts";
import { ensureLog } from "./ensure-log.ts";
import { listRuns } from "./list-runs.ts";
import { postMessage } from "./messages.ts";
import { FencedError } from "./run.ts";
import { getRun } from "./run-view.ts";
import { defaultRunSettings } from "./settings.ts";
import { startRun } from "./start-run.ts";
import { stopRun } from "./stop-run.ts";
import { sweepRuns } from "./sweep-runs.ts";
import { answered, called, limited, nothingElse, stepDone } from "./testing/engine-script.ts";
import { createRunFixture, startInput } from "./testing/run-fixture.ts";

const fixture = await createRunFixture();
const { database, api, worker, delivered, log, deps } = fixture;
const { aStart, aClaimedRun, claim, aRecorder, one, expectExactLog, loseWorker } = fixture;
afterAll(() => fixture.close());

const bounds = defaultRunSettings;
const admit = () => admitRuns({ db: worker.db, deliver: deps().deliver }, { batch: 100 });
const rowOf = (runId: string) => one<Record<string, unknown>>("select * from cortex.agent_runs where id = $1", [runId]);
/** Its time has come. */
const due = (runId: string) =>
  database.owner.query("update cortex.agent_runs set resume_at = now() where id = $1", [runId]);
const backInLine = async (runId: string) => {
  await due(runId);
  await admit();
  return claim(runId);
};

const aParkedRun = async (wait = limited(60_000)) => {
  const claimed = await aClaimedRun();
  const { recorder } = await aRecorder(claimed.run);
  await recorder.record({ type: "step.started", step: 0, model: "demo" });
  expect(await recorder.park(wait, bounds)).toMatchObject({ kind: "parked" });
  return claimed;
};

const finishWithAnswer = async (run: Awaited<ReturnType<typeof claim>>, step: number) => {
  const { recorder } = await aRecorder(run);
  await recorder.record({ type: "step.started", step, model: "demo" });
  await recorder.record(answered(step, "At last."));
  await recorder.record(stepDone(step));
  return recorder.finish({ kind: "completed", ...nothingElse });
};

test("a run that waits twice in one step goes on with it: exact log, money and attempts", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record({ type: "step.started", step: 0, model: "demo" });
  await recorder.record(answered(0, "", [{ id: "call-1", name: "calculator", effect: "pure" }]));
  for (const event of called("call-1", "calculator", "15")) await recorder.record(event);
  await recorder.record(stepDone(0));
  await recorder.record({ type: "step.started", step: 1, model: "demo" });
  expect(await recorder.park(limited(60_000, "0.0004"), bounds)).toMatchObject({ kind: "parked" });

  expect(await rowOf(run.id)).toMatchObject({
    status: "waiting",
    attempt: 1,
    attempts_since_step: 0,
    lease_until: null,
    admitted_at: null,
    cost_usd: "0.0014000000",
  });
  const waiting = log.entries(run.id).at(-1);
  expect(waiting).toMatchObject({ type: "run.waiting", attempt: 1, reason: "provider_limit" });
  await expectExactLog(run.id, place.accountId);

  const second = await backInLine(run.id);
  expect(second).toMatchObject({ attempt: 2, attempts_since_step: 1 });
  const again = await aRecorder(second);
  expect(again.input).toMatchObject({ firstStep: 1, spent: { costUsd: "0.0014", usage: { output_tokens: 12 } } });
  await again.recorder.record({ type: "step.started", step: 1, model: "demo" });
  await again.recorder.park(limited(null, "0.0001"), bounds);
  await expectExactLog(run.id, place.accountId);

  const third = await backInLine(run.id);
  // A wait is no lost attempt.
  expect(third).toMatchObject({ attempt: 3, attempts_since_step: 1 });
  expect(await finishWithAnswer(third, 1)).toMatchObject({ kind: "ended", status: "completed" });
  await expectExactLog(run.id, place.accountId);
  expect(log.entries(run.id).map(({ type, attempt }) => `${type} ${attempt}`)).toEqual([
    ...["run.queued 0", "run.started 1", "step.started 1", "message.completed 1", "tool_call.started 1"],
    ...["tool_call.completed 1", "message.completed 1", "step.completed 1", "step.started 1", "run.waiting 1"],
    ...["attempt.started 2", "run.resumed 2", "run.waiting 2", "attempt.started 3", "run.resumed 3"],
    ...["message.completed 3", "step.completed 3", "run.completed 3"],
  ]);

  // A log that is lost is rebuilt with the same words.
  const before = log.entries(run.id);
  log.flush();
  await ensureLog(
    { db: worker.db, log },
    { runId: run.id, scope: { userId: null, accountId: place.accountId }, as: "writer" },
  );
  const identical = ({ at: _at, seq: _seq, ...event }: RunEvent) => ({ ...event, duration_ms: 0 });
  expect((log.entries(run.id).slice(1) as RunEvent[]).map(identical)).toEqual((before as RunEvent[]).map(identical));

  expect(
    await one(
      `select cost_usd::float::text as cost, (select -sum(amount_usd)::float from cortex.ledger_entries where run_id = $1)::text as booked
       from cortex.agent_runs where id = $1`,
      [run.id],
    ),
  ).toEqual({ cost: "0.0025", booked: "0.0025" });
});

test("it is shown with its reason and its time, blocks its thread, and is neither deleted nor forgotten", async () => {
  const { place, run } = await aParkedRun();
  const caller = { userId: place.userId, accountId: null };
  const shown = await asUser(api.db, caller, (tx) => getRun(tx, { runId: run.id }));
  expect(shown).toMatchObject({ status: "waiting", attempt: 1, queue: { position: 0, reason: "provider_limit" } });
  const waiting = log.entries(run.id).at(-1);
  expect(waiting?.type === "run.waiting" && waiting.resume_at).toBe(shown?.queue?.resume_at);
  const listed = await asUser(api.db, caller, (tx) => listRuns(tx, { status: "waiting", limit: 10 }));
  expect(listed.data).toEqual([shown]);
  await expect(startRun(deps(), startInput(place))).rejects.toMatchObject({ code: "thread_busy" });
  await expect(asUser(api.db, caller, (tx) => deleteRun(tx, { runId: run.id }))).rejects.toMatchObject({
    code: "run_active",
  });
});

test("nobody gets it before its time; then it is weighed like everybody else", async () => {
  const { run } = await aParkedRun();
  const patient = await aParkedRun();
  await admit();
  expect(delivered.filter(({ runId }) => runId === run.id)).toHaveLength(1);
  await expect(claim(run.id)).rejects.toThrow("refused");
  await due(run.id);
  await Promise.all([admit(), admit(), admit()]);
  expect(delivered.filter(({ runId }) => runId === run.id)).toEqual([
    { runId: run.id, delivery: 1 },
    { runId: run.id, delivery: 2 },
  ]);
  expect(await rowOf(run.id)).toMatchObject({ status: "queued", resume_at: null });
  expect(await rowOf(patient.run.id)).toMatchObject({ status: "waiting" });
});

test("a job that the queue brings back late gets no place: the run is in line", async () => {
  const { run } = await aParkedRun();
  await database.owner.query("delete from cortex.workers");
  await due(run.id);
  await admit();
  expect(await rowOf(run.id)).toMatchObject({ status: "queued", admitted_at: null });
  await expect(claim(run.id)).rejects.toThrow("refused");
  await database.owner.query("insert into cortex.workers (id, concurrency) values ('w', 1000)");
  await admit();
  expect(await claim(run.id)).toMatchObject({ attempt: 2 });
});

test("a parked run takes no place of its account's limit, and waits for one when its time has come", async () => {
  await database.owner.query(
    `insert into cortex.plans (id, name, unlimited, max_parallel_runs, max_active_runs) values ('one', 'One', true, 1, 2)`,
  );
  const place = await aStart({ planId: "one" });
  const first = await startRun(deps(), startInput(place));
  const run = await claim(first.agent_run_id);
  await (await aRecorder(run)).recorder.park(limited(60_000), bounds);

  const other = { ...place, threadId: (await aThreadOf(place)).threadId };
  const second = await startRun(deps(), startInput(other));
  const running = await claim(second.agent_run_id);
  const third = { ...place, threadId: (await aThreadOf(place)).threadId };
  await expect(startRun(deps(), startInput(third))).rejects.toMatchObject({ code: "too_many_runs" });

  await due(run.id);
  await admit();
  const caller = { userId: place.userId, accountId: null };
  const shown = await asUser(api.db, caller, (tx) => getRun(tx, { runId: run.id }));
  expect(shown).toMatchObject({ status: "queued", queue: { reason: "account_limit" } });
  await finishWithAnswer(running, 0);
  await admit();
  expect(await claim(run.id)).toMatchObject({ attempt: 2 });
});

const aThreadOf = async (place: { projectId: string; accountId: string }) =>
  one<{ threadId: string }>(
    `insert into cortex.threads (account_id, project_id) values ($1, $2) returning id as "threadId"`,
    [place.accountId, place.projectId],
  );

test("an attempt that is superseded, or whose run has ended, parks nothing", async () => {
  const { run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await loseWorker(run.id);
  const successor = await claim(run.id);
  await expect(recorder.park(limited(1_000, "0.1"), bounds)).rejects.toBeInstanceOf(FencedError);
  expect(await rowOf(run.id)).toMatchObject({ status: "running", attempt: 2, cost_usd: "0.0000000000" });
  await finishWithAnswer(successor, 0);
  await expect(recorder.park(limited(1_000), bounds)).rejects.toBeInstanceOf(FencedError);
  expect(await one("select count(*)::int as n from cortex.run_waits where run_id = $1", [run.id])).toEqual({ n: 0 });
});

test("a parked attempt writes nothing any more", async () => {
  const { run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.park(limited(60_000), bounds);
  await expect(recorder.finish({ kind: "completed", ...nothingElse })).rejects.toBeInstanceOf(FencedError);
  await expect(recorder.park(limited(60_000), bounds)).rejects.toBeInstanceOf(FencedError);
  expect(await rowOf(run.id)).toMatchObject({ status: "waiting", attempt: 1 });
});

const stopDeps = () => ({
  db: api.db,
  announceStop: () => undefined,
  closeLog: () => undefined,
});

test("a stop of a waiting run ends it at once", async () => {
  const { place, run } = await aParkedRun();
  expect(await stopRun(stopDeps(), { runId: run.id, userId: place.userId, accountId: null })).toMatchObject({
    status: "stopped",
  });
  await closeLog(
    { db: worker.db, log: silentLogger(), eventLog: log },
    { runId: run.id, scope: { userId: null, accountId: place.accountId } },
  );
  const types = log.entries(run.id).map(({ type }) => type);
  // Nobody went on with it.
  expect(types).toEqual(["run.queued", "run.started", "step.started", "run.waiting", "run.stopped"]);
  await expectExactLog(run.id, place.accountId);
  await due(run.id);
  await admit();
  expect(await rowOf(run.id)).toMatchObject({ status: "stopped", terminal_writes: 1 });
});

test("a stop that was asked for a moment before is an end, not a wait", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record({ type: "step.started", step: 0, model: "demo" });
  await stopRun(stopDeps(), { runId: run.id, userId: place.userId, accountId: null });
  const parked = await recorder.park(limited(60_000, "0.0003"), bounds);
  expect(parked).toMatchObject({ kind: "ends", outcome: { kind: "aborted" } });
  if (parked.kind === "ends") await recorder.finish(parked.outcome);
  expect(await rowOf(run.id)).toMatchObject({ status: "stopped", cost_usd: "0.0003000000" });
});

test("waiting that does not help fails with the model's code: beyond the deadline, beyond the bound", async () => {
  const { run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  const failed = { kind: "ends", outcome: { kind: "failed", code: "model_rate_limited", retryable: true } };
  expect(await recorder.park(limited(3 * 60 * 60_000), { ...bounds, maxWaitMs: 10 ** 9 })).toMatchObject(failed);
  expect(await recorder.park(limited(null), { ...bounds, maxWaitMs: 1 })).toMatchObject(failed);
  expect(await rowOf(run.id)).toMatchObject({ status: "running" });

  // All waits of the step count together, those of earlier attempts too.
  await recorder.park(limited(20_000), { ...bounds, maxWaitMs: 30_000 });
  await database.owner.query(
    "update cortex.run_waits set began_at = began_at - interval '20 seconds' where run_id = $1",
    [run.id],
  );
  const next = await aRecorder(await backInLine(run.id));
  expect(await next.recorder.park(limited(20_000), { ...bounds, maxWaitMs: 30_000 })).toMatchObject(failed);
  expect(await next.recorder.park(limited(5_000), { ...bounds, maxWaitMs: 30_000 })).toMatchObject({ kind: "parked" });
});

test("the deadline ends a run that waits, and one that waited and is in line", async () => {
  const parked = await aParkedRun();
  const inLine = await aParkedRun();
  await database.owner.query("delete from cortex.workers");
  await due(inLine.run.id);
  await admit();
  expect(await rowOf(inLine.run.id)).toMatchObject({ status: "queued", admitted_at: null });
  await database.owner.query(
    "update cortex.agent_runs set deadline_at = now() - interval '1 second' where id = any($1)",
    [[parked.run.id, inLine.run.id]],
  );
  const sweepDeps = { db: worker.db, log: silentLogger(), deliver: deps().deliver, eventLog: log };
  await sweepRuns({ ...sweepDeps, jobState: async () => "waiting" }, defaultRunSettings);
  for (const { place, run } of [parked, inLine]) {
    expect(await rowOf(run.id)).toMatchObject({ status: "failed", error: { code: "deadline_exceeded" } });
    expect(log.entries(run.id).at(-1)).toMatchObject({ type: "run.failed" });
    await expectExactLog(run.id, place.accountId);
  }
  await database.owner.query("insert into cortex.workers (id, concurrency) values ('w', 1000)");
});

test("a deadline that passes while the wait ends takes the run out of the line, too", async () => {
  const { run } = await aParkedRun();
  await database.owner.query(
    "update cortex.agent_runs set resume_at = now(), deadline_at = now() - interval '1 second' where id = $1",
    [run.id],
  );
  const admission = await database.owner.connect();
  await admission.query("begin");
  await admission.query("select cortex.end_waits()");
  const sweepDeps = { db: worker.db, log: silentLogger(), deliver: deps().deliver, eventLog: log };
  const sweeping = sweepRuns({ ...sweepDeps, jobState: async () => "waiting" }, defaultRunSettings);
  await eventually(async () => {
    const sql =
      "select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    return (await one<{ waiting: number }>(sql, [])).waiting > 0;
  });
  await admission.query("commit");
  admission.release();
  expect(await sweeping).toMatchObject({ ended: 1 });
  expect(await rowOf(run.id)).toMatchObject({ status: "failed", error: { code: "deadline_exceeded" } });
  // Its row in the line would be chosen first by each admission, for ever, and keep its place from whoever could run.
  expect(await one("select count(*)::int as rows from cortex.outbox where run_id = $1", [run.id])).toEqual({ rows: 0 });
});

test("a message that is posted while the run waits is seen when it goes on", async () => {
  const { place, run } = await aParkedRun();
  await asUser(api.db, { userId: place.userId, accountId: null }, (tx) =>
    postMessage(tx, { threadId: place.threadId, content: [{ type: "text", text: "and this" }], metadata: {} }),
  );
  const { input } = await aRecorder(await backInLine(run.id));
  expect(input.messages.map(({ content }) => content)).toEqual([
    [{ type: "text", text: "hello" }],
    [{ type: "text", text: "and this" }],
  ]);
});

test("a worker that dies between the wait and its event loses neither", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  // The log is gone at this moment: the append fails as it does for a process that is killed before it.
  log.flush();
  await expect(recorder.park(limited(60_000), bounds)).rejects.toThrow("superseded");
  expect(await rowOf(run.id)).toMatchObject({ status: "waiting" });
  await finishWithAnswer(await backInLine(run.id), 0);
  const events = log.entries(run.id).map(({ type }) => type);
  expect(events.filter((type) => type === "run.waiting" || type === "run.resumed")).toEqual([
    "run.waiting",
    "run.resumed",
  ]);
  await expectExactLog(run.id, place.accountId);
});
