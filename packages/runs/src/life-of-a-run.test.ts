import { type AppError } from "@cortex/contracts";
import { asAccount } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { aGrant, aMember, aThread, aUser } from "@cortex/testing";
import { afterAll, expect, test } from "vitest";
import { claimRun } from "./claim-run.ts";
import { closeLog } from "./close-log.ts";
import { ensureLog, openLog } from "./ensure-log.ts";
import { createRecorder } from "./recorder.ts";
import { FencedError } from "./run.ts";
import { readPostedMessages } from "./run-input.ts";
import { defaultRunSettings } from "./settings.ts";
import { startRun } from "./start-run.ts";
import { stopRun } from "./stop-run.ts";
import { answered, called, nothingElse, stepDone } from "./testing/engine-script.ts";
import { createRunFixture, startInput, untried } from "./testing/run-fixture.ts";

const fixture = await createRunFixture();
const { database, api, worker, delivered, log, deps } = fixture;
const { aStart, aClaimedRun, claim, aRecorder, one, factsOf, expectExactLog, loseWorker, post } = fixture;
afterAll(() => fixture.close());

test("a run with a tool call and an answer: rows, money, log, one end", async () => {
  const { place, run } = await aClaimedRun();
  expect(delivered).toContainEqual({ runId: run.id, delivery: 1 });
  const { recorder } = await aRecorder(run);
  await recorder.record({ type: "step.started", step: 0, model: "demo" });
  await recorder.record(answered(0, "", [{ id: "call-1", name: "calculator", effect: "pure" }]));
  for (const event of called("call-1", "calculator", "15")) await recorder.record(event);
  await recorder.record(stepDone(0));
  await recorder.record({ type: "step.started", step: 1, model: "demo" });
  await recorder.record({ type: "message.delta", message_id: crypto.randomUUID() as never, text: "It is 15." });
  await recorder.record(answered(1, "It is 15."));
  await recorder.record(stepDone(1));
  const ended = await recorder.finish({ kind: "completed", ...nothingElse });
  expect(ended).toMatchObject({ kind: "ended", status: "completed" });

  const row = await one<Record<string, unknown>>(
    "select status, terminal_writes, attempt, cost_usd::text as cost, usage from cortex.agent_runs where id = $1",
    [run.id],
  );
  expect(row).toMatchObject({ status: "completed", terminal_writes: 1, attempt: 2, cost: "0.0020000000" });
  const messages = await database.owner.query(
    "select seq, role from cortex.messages where thread_id = $1 order by seq",
    [place.threadId],
  );
  expect(messages.rows).toEqual([
    { seq: 0, role: "user" },
    { seq: 1, role: "assistant" },
    { seq: 2, role: "tool" },
    { seq: 3, role: "assistant" },
  ]);
  const ledger = await one<{ spent: string; balance: string }>(
    `select sum(amount_usd)::text as spent, (select balance_usd::text from cortex.account_balances where account_id = $1) as balance
     from cortex.ledger_entries where account_id = $1`,
    [place.accountId],
  );
  expect(ledger).toEqual({ spent: "-0.0020000000", balance: "-0.0020000000" });
  await expectExactLog(run.id, place.accountId);
  expect(log.entries(run.id).at(-1)).toMatchObject({ type: "run.completed", attempt: 1, cost_usd: "0.002" });
});

test("named refusals of a start write nothing", async () => {
  const place = await aStart({ planId: "local" });
  const rows = () =>
    one<{ runs: number; messages: number }>(
      `select (select count(*)::int from cortex.agent_runs where account_id = $1) as runs,
       (select count(*)::int from cortex.messages where account_id = $1) as messages`,
      [place.accountId],
    );
  await expect(startRun(deps(), startInput({ ...place, prompt: null }))).rejects.toMatchObject({
    code: "thread_empty",
  });
  await expect(startRun(deps(), startInput({ ...place, threadId: crypto.randomUUID() }))).rejects.toMatchObject({
    code: "not_found",
  });
  await expect(startRun(deps(), startInput({ ...place, agentId: crypto.randomUUID() }))).rejects.toMatchObject({
    code: "not_found",
  });
  expect(await rows()).toEqual({ runs: 0, messages: 0 });

  const started = await startRun(deps(), startInput(place));
  await expect(startRun(deps(), startInput(place))).rejects.toMatchObject({
    code: "thread_busy",
    details: { agent_run_id: started.agent_run_id },
  });
  expect(await rows()).toEqual({ runs: 1, messages: 1 });

  const stranger = await aUser(database.owner);
  await expect(startRun(deps(), startInput({ ...place, userId: stranger.userId }))).rejects.toMatchObject({
    code: "not_found",
  });
  await aMember(database.owner, { accountId: place.accountId, userId: stranger.userId, role: "viewer" });
  await expect(startRun(deps(), startInput({ ...place, userId: stranger.userId }))).rejects.toMatchObject({
    code: "forbidden",
  });

  await database.owner.query("update cortex.projects set deleted_at = now() where id = $1", [place.projectId]);
  await expect(startRun(deps(), startInput(place))).rejects.toMatchObject({ code: "project_deleted" });
});

test("a plan that refuses: no credit, too many runs, and a reservation that comes back", async () => {
  const place = await aStart({ planId: "free" });
  await expect(startRun(deps(), startInput(place))).rejects.toMatchObject({ code: "insufficient_credits" });
  await aGrant(database.owner, { accountId: place.accountId, usd: "1" });
  const started = await startRun(deps(), startInput(place));
  const balance = () =>
    one<{ usd: string }>("select balance_usd::float::text as usd from cortex.account_balances where account_id = $1", [
      place.accountId,
    ]);
  expect(await balance()).toEqual({ usd: "0.95" });
  for (let more = 0; more < 2; more++) {
    await startRun(
      deps(),
      startInput({ ...place, threadId: (await aThread(database.owner, { accountId: place.accountId })).threadId }),
    );
  }
  const fourth = await aThread(database.owner, { accountId: place.accountId });
  await expect(startRun(deps(), startInput({ ...place, threadId: fourth.threadId }))).rejects.toMatchObject({
    code: "too_many_runs",
  });
  const run = await claim(started.agent_run_id);
  const { recorder } = await aRecorder(run);
  await recorder.record(answered(0, "done"));
  await recorder.finish({ kind: "completed", ...nothingElse });
  expect(await balance()).toEqual({ usd: "0.899" });
});

test("of two starts on one thread at the same moment one is refused", async () => {
  const place = await aStart({ planId: "local" });
  const starts = await Promise.allSettled(Array.from({ length: 8 }, () => startRun(deps(), startInput(place))));
  expect(starts.filter((start) => start.status === "fulfilled")).toHaveLength(1);
  const [won] = starts.flatMap((start) => (start.status === "fulfilled" ? [start.value.agent_run_id] : []));
  const refused = starts.flatMap((start) => (start.status === "rejected" ? [start.reason as AppError] : []));
  // Each names the run in the way, also the ones that met at the lock.
  for (const { code, details } of refused)
    expect({ code, details }).toEqual({ code: "thread_busy", details: { agent_run_id: won } });
});

test("a run is claimed once; a living lease is respected, an ended one is not", async () => {
  const place = await aStart({ planId: "local" });
  const { agent_run_id: runId } = await startRun(deps(), startInput(place));
  const claims = await Promise.all(
    Array.from({ length: 5 }, (_, n) =>
      claimRun(worker.db, { runId, workerId: `w${n}`, settings: defaultRunSettings }),
    ),
  );
  expect(claims.filter(Boolean)).toHaveLength(1);
  await loseWorker(runId);
  expect((await claim(runId)).attempt).toBe(2);
});

test("a superseded attempt changes nothing, anywhere", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record(answered(0, "", [{ id: "call-1", name: "shell", effect: "once" }]));
  await loseWorker(run.id);
  const second = await claim(run.id);
  const before = await factsOf(run.id, place.accountId);
  for (const event of called("call-1", "shell", "late")) await recorder.record(event);
  await expect(recorder.record(stepDone(0))).rejects.toThrow(FencedError);
  await expect(recorder.finish({ kind: "completed", ...nothingElse })).rejects.toThrow(FencedError);
  const after = await factsOf(run.id, place.accountId);
  expect(after).toEqual(before);

  // Its successor is told that nobody knows whether the shell call happened.
  const { input } = await aRecorder(second);
  expect(input.left?.calls).toMatchObject([{ state: "unknown", call: { id: "call-1" } }]);
  expect(input.firstStep).toBe(1);
});

test("a message posted while the last answer is written keeps the run going", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record(answered(0, "the answer"));
  await recorder.record(stepDone(0));
  await post(place, "wait");
  expect(await recorder.finish({ kind: "completed", ...nothingElse })).toEqual({ kind: "posted" });
  const posted = await readPostedMessages(worker.db, {
    accountId: place.accountId,
    threadId: place.threadId,
    fromSeq: 1,
    toSeq: 2,
    runId: run.id,
  });
  expect(posted.map((message) => message.seq)).toEqual([1]);
  await recorder.record({ type: "step.started", step: 1, model: "demo" });
  await recorder.record(answered(1, "a better one"));
  expect(await recorder.finish({ kind: "completed", ...nothingElse })).toMatchObject({ kind: "ended" });
  await expectExactLog(run.id, place.accountId);
});

test("a queued run stops at once; stopping again, and stopping a finished one, change nothing", async () => {
  const place = await aStart({ planId: "local" });
  const started = await startRun(deps(), startInput(place));
  const closed: string[] = [];
  const stopDeps = {
    db: api.db,
    announceStop: () => undefined,
    closeLog: (run: { runId: string }) => void closed.push(run.runId),
  };
  const input = { runId: started.agent_run_id, userId: place.userId, accountId: null };
  const first = await stopRun(stopDeps, input);
  expect(first).toMatchObject({ status: "stopped" });
  expect(closed).toEqual([started.agent_run_id]);
  expect(await stopRun(stopDeps, input)).toEqual(first);
  await closeLog(
    { db: api.db, log: silentLogger(), eventLog: log },
    { runId: input.runId, scope: { userId: place.userId, accountId: null } },
  );
  expect(log.entries(input.runId).map((event) => event.type)).toEqual(["run.queued", "run.stopped"]);
  expect(await claimRun(worker.db, { runId: input.runId, workerId: "w", settings: defaultRunSettings })).toBeNull();
  const stranger = await aUser(database.owner);
  expect(await stopRun(stopDeps, { ...input, userId: stranger.userId })).toBeNull();
});

test("stopping a running run keeps the partial text, settles open calls, and says what was cut", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record(answered(0, "", [{ id: "call-1", name: "shell", effect: "once" }]));
  const announced: string[] = [];
  const stopDeps = { db: api.db, announceStop: (id: string) => void announced.push(id), closeLog: () => undefined };
  expect(await stopRun(stopDeps, { runId: run.id, userId: place.userId, accountId: null })).toMatchObject({
    status: "running",
  });
  expect(announced).toEqual([run.id]);
  const unfinished = [{ tool_call_id: "call-1", name: "shell", result: "not known", effect_state: "unknown" as const }];
  const killed = [
    { tool_call_id: "call-1", name: "shell", command: "sleep 600", processes: 2, sandbox_stopped: false },
  ];
  await recorder.finish({
    kind: "aborted",
    interrupted: null,
    unfinished,
    aborted: ["tool call shell"],
    killed,
    ...nothingElse,
  });
  const row = await one<{ status: string; state: string; receipt: unknown }>(
    `select status, stop_receipt as receipt, (select state from cortex.tool_calls where run_id = agent_runs.id) as state from cortex.agent_runs where id = $1`,
    [run.id],
  );
  expect(row).toMatchObject({
    status: "stopped",
    state: "unknown",
    receipt: { aborted: ["tool call shell"], killed, charged_usd: "0.001" },
  });
  await expectExactLog(run.id, place.accountId);
});

test.each(["end", "stop"])(
  "calls that are settled together, by the %s of their step, stand in the live log as in a rebuilt one",
  async (by) => {
    const { place, run } = await aClaimedRun();
    const { recorder } = await aRecorder(run);
    await recorder.record({ type: "step.started", step: 0, model: "demo" });
    const ids = ["first", "second", "third"];
    await recorder.record(
      answered(
        0,
        "",
        ids.map((id) => ({ id, name: "calculator", effect: "pure" })),
      ),
    );
    // Results with pictures wait for the write that has their messages.
    const images = [{ mediaType: "image/png", data: "QUJD" }];
    for (const id of by === "stop" ? ["third", "second"] : ["third", "second", "first"])
      for (const event of called(id, "calculator", "shown"))
        await recorder.record(event.type === "tool_call.completed" ? { ...event, images } : event);
    if (by === "stop") {
      const left = { tool_call_id: "first", name: "calculator", result: "cut off", effect_state: "none" as const };
      const outcome = { kind: "aborted" as const, interrupted: null, unfinished: [left], aborted: [], killed: [] };
      await recorder.finish({ ...outcome, ...nothingElse });
    } else {
      await recorder.record(stepDone(0));
      await recorder.record({ type: "step.started", step: 1, model: "demo" });
    }
    await expectExactLog(run.id, place.accountId);
  },
);

test("a lost log is rebuilt under the next epoch with everything durable, by writer and reader alike", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record(answered(0, "", [{ id: "call-1", name: "calculator", effect: "pure" }]));
  for (const event of called("call-1", "calculator", "15")) await recorder.record(event);
  await recorder.record(stepDone(0));
  log.flush();
  await database.owner.query("update cortex.agent_runs set claimed_at = now() - interval '1 minute' where id = $1", [
    run.id,
  ]);
  const scope = { userId: place.userId, accountId: null };
  const rebuilt = await Promise.all(
    [1, 2, 3].map(() => ensureLog({ db: api.db, log }, { runId: run.id, scope, as: "reader" })),
  );
  expect(rebuilt.map((state) => state?.epoch)).toEqual([2, 2, 2]);
  expect(log.entries(run.id)[0]).toMatchObject({ type: "resync", seq: 0 });
  await expectExactLog(run.id, place.accountId);
});

test("a log of an epoch that Postgres has forgotten: its writer writes it down again", async () => {
  const { place, run } = await aClaimedRun();
  await aRecorder(run);
  log.flush();
  // What is left when Postgres comes back without its last commits.
  await log.open({ runId: run.id, attempt: run.attempt, epoch: 2, events: [] });
  const scope = { userId: null, accountId: place.accountId };
  await ensureLog({ db: worker.db, log }, { runId: run.id, scope, as: "writer" });
  expect(await one("select log_epoch from cortex.agent_runs where id = $1", [run.id])).toEqual({ log_epoch: 2 });
  await expectExactLog(run.id, place.accountId);
});

test("an epoch means one list, also if whoever made it died at once and the list was lost again", async () => {
  const { place, run } = await aClaimedRun();
  const scope = { userId: null, accountId: place.accountId };
  const ensure = (port: typeof log) => ensureLog({ db: worker.db, log: port }, { runId: run.id, scope, as: "writer" });
  log.flush();
  const dies = async (): Promise<never> => {
    throw new Error("killed");
  };
  const afterwards = (input: Parameters<typeof log.open>[0]) => log.open(input).then(dies);
  await expect(ensure({ ...log, open: afterwards })).rejects.toThrow("killed");
  expect(await ensure(log)).toMatchObject({ epoch: 2 });
  log.flush();
  expect(await ensure(log)).toMatchObject({ epoch: 3 });
  log.flush();
  await expect(ensure({ ...log, open: dies })).rejects.toThrow("killed");
  expect(await ensure(log)).toMatchObject({ epoch: 5 });
  await expectExactLog(run.id, place.accountId);
});

test.each(["writer", "reader"] as const)(
  "a log that has lost its end is lost as a whole to the %s who has seen it",
  async (as) => {
    const { place, run } = await aClaimedRun();
    const { recorder } = await aRecorder(run);
    await recorder.record(answered(0, "", [{ id: "call-1", name: "calculator", effect: "pure" }]));
    await database.owner.query("update cortex.agent_runs set claimed_at = now() - interval '1 minute' where id = $1", [
      run.id,
    ]);
    const seen = { epoch: 1, length: log.entries(run.id).length };
    const ensure = (shown: typeof seen) =>
      ensureLog(
        { db: worker.db, log },
        { runId: run.id, scope: { userId: null, accountId: place.accountId }, as, seen: shown },
      );
    expect(await ensure(seen)).toMatchObject(seen);
    log.forgetLast(run.id);
    // Under the old epoch another entry would come to stand where a follower has read one already.
    expect(await ensure(seen)).toMatchObject({ epoch: 2 });
    expect(log.entries(run.id)[0]).toMatchObject({ type: "resync" });
    await expectExactLog(run.id, place.accountId);
    expect(await ensure(seen)).toMatchObject({ epoch: 2 });
  },
);

test("entries of kinds that only a newer version knows stay in the log, and nothing is said twice because of them", async () => {
  const { place, run } = await aClaimedRun();
  const state = await openLog({ db: worker.db, log }, run);
  const newer = { type: "run.dreamt", of: "sheep", run_id: run.id, at: new Date().toISOString(), attempt: 1 };
  await log.append({ runId: run.id, ...state, events: [newer as never] });
  await loseWorker(run.id);
  const second = await claim(run.id);
  const scope = { userId: null, accountId: place.accountId };
  for (let again = 0; again < 2; again++)
    await ensureLog({ db: worker.db, log }, { runId: second.id, scope, as: "writer" });
  expect(log.entries(run.id).map(({ type }) => type as string)).toEqual([
    "run.queued",
    "run.started",
    "step.started",
    "run.dreamt",
    "attempt.started",
  ]);
});

test("a successor appends what a dead attempt committed but did not get out", async () => {
  const { place, run } = await aClaimedRun();
  const state = await openLog({ db: worker.db, log }, run);
  const mute = {
    preview: () => undefined,
    durable: async () => undefined,
    isBehind: () => true,
    end: async () => "",
  };
  const recorder = createRecorder(
    { db: worker.db, sink: mute, outlast: untried },
    { run, nextSeq: 1, firstStep: 0, resumed: null },
  );
  await recorder.record(answered(0, "", [{ id: "call-1", name: "calculator", effect: "pure" }]));
  for (const event of called("call-1", "calculator", "15")) await recorder.record(event);
  await recorder.record(stepDone(0));
  expect(log.entries(run.id)).toHaveLength(state.length);
  await loseWorker(run.id);
  const second = await aRecorder(await claim(run.id));
  expect(log.entries(run.id).map((event) => event.type)).toEqual([
    "run.queued",
    "run.started",
    "step.started",
    "message.completed",
    "tool_call.started",
    "tool_call.completed",
    "message.completed",
    "step.completed",
    "attempt.started",
    "step.started",
  ]);
  await second.recorder.record(answered(1, "15"));
  await second.recorder.finish({ kind: "completed", ...nothingElse });
  const types = log.entries(run.id).map((event) => event.type);
  expect(types.filter((type) => type === "run.completed")).toHaveLength(1);
  expect(place.threadId).toBeDefined();
});

test("thoughts that were cut off before there was an answer are said to be void", async () => {
  const { run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  const id = crypto.randomUUID() as never;
  await recorder.record({ type: "reasoning.delta", message_id: id, text: "Hmm" });
  const interrupted = { id, text: "", tool_calls: [], status: "interrupted" as const };
  const outcome = { kind: "aborted" as const, unfinished: [], aborted: ["model call"], killed: [], ...nothingElse };
  await recorder.finish({ ...outcome, interrupted });
  expect(log.entries(run.id).slice(-2)).toMatchObject([
    { type: "message.discarded", message_id: id, reason: "interrupted" },
    { type: "run.stopped" },
  ]);
});

test("terminal statuses cannot be left, whoever asks", async () => {
  const { run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.finish({
    kind: "failed",
    code: "model_auth",
    message: "no",
    retryable: false,
    interrupted: null,
    ...nothingElse,
  });
  await expect(
    asAccount(worker.db, { accountId: run.account_id }, (tx) =>
      tx.updateTable("agent_runs").set({ status: "running" }).where("id", "=", run.id).execute(),
    ),
  ).rejects.toThrow("has ended as failed");
});
