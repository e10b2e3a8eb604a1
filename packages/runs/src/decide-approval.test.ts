import type { DecideApproval, RunEvent, UnplacedEvent } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { aMember, aUser } from "@cortex/testing";
import { afterAll, expect, test } from "vitest";
import { admitRuns } from "./admission.ts";
import { closeLog } from "./close-log.ts";
import { decideApproval } from "./decide-approval.ts";
import { deleteRun } from "./delete-run.ts";
import { ensureLog } from "./ensure-log.ts";
import { handOver } from "./hand-over.ts";
import { listRuns } from "./list-runs.ts";
import { FencedError } from "./run.ts";
import { getRun } from "./run-view.ts";
import { defaultRunSettings } from "./settings.ts";
import { startRun } from "./start-run.ts";
import { stopRun } from "./stop-run.ts";
import { sweepRuns } from "./sweep-runs.ts";
import {
  answeredForPeople,
  answered,
  called,
  digestFor,
  nothingElse,
  stepDone,
  waitsForPeople,
} from "./testing/engine-script.ts";
import { createRunFixture, startInput, untried } from "./testing/run-fixture.ts";
import { getTimeline } from "./timeline.ts";
import { readTracedRun } from "./traces.ts";

const fixture = await createRunFixture();
const { database, api, worker, log, deps } = fixture;
const { aClaimedRun, claim, aRecorder, one, expectExactLog, loseWorker } = fixture;
afterAll(() => fixture.close());

const hour = 60 * 60_000;
const admit = () => admitRuns({ db: worker.db, deliver: deps().deliver }, { batch: 100 });
const rowOf = (runId: string) => one<Record<string, unknown>>("select * from cortex.agent_runs where id = $1", [runId]);
const callsOf = async (runId: string) =>
  (
    await database.owner.query<{ call_id: string; state: string; begun: boolean; result: string | null }>(
      `select call_id, state, started_at is not null as begun, result from cortex.tool_calls where run_id = $1 order by position`,
      [runId],
    )
  ).rows;

/** Three calls, of which the second and the third need a person. */
const asked = [
  { id: "free", name: "calculator", effect: "pure" as const },
  { id: "pay", name: "shell", effect: "once" as const, approval: true },
  { id: "mail", name: "shell", effect: "once" as const, approval: true },
];

const aWaitingRun = async () => {
  const claimed = await aClaimedRun();
  const { recorder } = await aRecorder(claimed.run);
  await recorder.record({ type: "step.started", step: 0, model: "demo" });
  await recorder.record(answeredForPeople(0, asked));
  expect(await recorder.park(waitsForPeople(asked), defaultRunSettings)).toMatchObject({ kind: "parked" });
  return { ...claimed, recorder };
};
type Waiting = Awaited<ReturnType<typeof aWaitingRun>>;

/** Hours pass, for everything that is written down. */
const pass = async (runId: string, ms: number) => {
  await database.owner.query(
    `update cortex.agent_runs set deadline_at = deadline_at - $2 * interval '1 millisecond' where id = $1`,
    [runId, ms],
  );
  await database.owner.query(
    `update cortex.run_waits set began_at = began_at - $2 * interval '1 millisecond',
       deadline_at = deadline_at - $2 * interval '1 millisecond' where run_id = $1`,
    [runId, ms],
  );
};

const decisionDeps = () => ({
  db: api.db,
  checkArguments: (_name: string, args: unknown) => (JSON.stringify(args).includes("bad") ? "does not fit" : null),
  admitSoon: () => undefined,
});
const decide = (
  { run, place }: Pick<Waiting, "run" | "place">,
  callId: string,
  body: Partial<DecideApproval> = {},
  userId = place.userId,
) =>
  decideApproval(decisionDeps(), {
    runId: run.id,
    callId,
    userId,
    accountId: null,
    body: { decision: "approve", digest: digestFor(callId), ...body },
  });

const resumed = async (runId: string) => {
  await admit();
  return claim(runId);
};

const stop = ({ run, place }: Pick<Waiting, "run" | "place">) =>
  stopRun(
    { db: api.db, announceStop: () => undefined, closeLog: () => undefined },
    { runId: run.id, userId: place.userId, accountId: null },
  );
const sweep = () =>
  sweepRuns(
    { db: worker.db, log: silentLogger(), deliver: deps().deliver, jobState: async () => "waiting", eventLog: log },
    defaultRunSettings,
  );
const close = ({ run, place }: Waiting) =>
  closeLog(
    { db: worker.db, log: silentLogger(), eventLog: log },
    { runId: run.id, scope: { userId: null, accountId: place.accountId } },
  );
const typesOf = (runId: string) => log.entries(runId).map(({ type, attempt }) => `${type} ${attempt}`);

test("it waits without worker, place or lease, for days, and goes on with what people decided: exact log", async () => {
  const waiting = await aWaitingRun();
  const { run, place } = waiting;
  const before = await rowOf(run.id);
  expect(before).toMatchObject({ status: "waiting", lease_until: null, admitted_at: null, resume_at: null });
  expect(await callsOf(run.id)).toMatchObject([
    { call_id: "free", state: "released", begun: false },
    { call_id: "pay", state: "awaiting", begun: false },
    { call_id: "mail", state: "awaiting", begun: false },
  ]);
  const caller = { userId: place.userId, accountId: null };
  const shown = await asUser(api.db, caller, (tx) => getRun(tx, { runId: run.id }));
  expect(shown).toMatchObject({
    status: "waiting",
    queue: { position: 0, reason: "approval", expires_at: expect.any(String) as string },
    approvals: [
      { tool_call_id: "pay", name: "shell", arguments: { expression: "1" }, digest: digestFor("pay") },
      { tool_call_id: "mail" },
    ],
  });
  expect((await asUser(api.db, caller, (tx) => listRuns(tx, { status: "waiting", limit: 10 }))).data).toEqual([shown]);
  expect(log.entries(run.id).at(-1)).toMatchObject({
    type: "run.waiting",
    reason: "approval",
    approvals: shown?.approvals,
  });
  await expectExactLog(run.id, place.accountId);

  await pass(run.id, 100 * hour);
  await admit();
  await sweep();
  await expect(claim(run.id)).rejects.toThrow("refused");
  expect(
    await decide(waiting, "mail", { decision: "edit", arguments: { expression: "2" }, comment: "less" }),
  ).toMatchObject({
    status: "waiting",
    open_approvals: 1,
  });
  await expect(resumed(run.id)).rejects.toThrow("refused");
  expect(await decide(waiting, "pay")).toMatchObject({ status: "queued", open_approvals: 0, decision: "approve" });
  const second = await resumed(run.id);
  expect(second).toMatchObject({ attempt: 2, attempts_since_step: 1 });
  // Its working time goes on where it stopped.
  const leftMs = (row: { deadline_at: Date | null; claimed_at: Date | null }) =>
    Number(row.deadline_at) - Number(row.claimed_at);
  expect(leftMs(second)).toBeGreaterThan(defaultRunSettings.maxRunMs - 60_000);
  expect(leftMs(second)).toBeLessThanOrEqual(defaultRunSettings.maxRunMs);

  const again = await aRecorder(second);
  expect(again.input.left?.calls).toMatchObject([
    { call: { id: "free" }, state: "run" },
    { call: { id: "pay" }, state: "decided", digest: digestFor("pay"), decision: { kind: "approve" } },
    {
      call: { id: "mail" },
      state: "decided",
      decision: { kind: "edit", arguments: { expression: "2" }, comment: "less" },
    },
  ]);
  expect((await callsOf(run.id)).map(({ state }) => state)).toEqual(["started", "started", "started"]);
  for (const { id, name } of asked) for (const event of called(id, name, "ok")) await again.recorder.record(event);
  await again.recorder.record(stepDone(0));
  await again.recorder.record({ type: "step.started", step: 1, model: "demo" });
  await again.recorder.record(answered(1, "Done."));
  expect(await again.recorder.finish({ kind: "completed", ...nothingElse })).toMatchObject({ status: "completed" });
  await expectExactLog(run.id, place.accountId);
  expect(typesOf(run.id)).toEqual([
    ...["run.queued 0", "run.started 1", "step.started 1", "message.completed 1", "run.waiting 1"],
    ...["attempt.started 2", "run.resumed 2", "tool_call.started 2", "tool_call.started 2", "tool_call.started 2"],
    ...["tool_call.completed 2", "tool_call.completed 2", "tool_call.completed 2"],
    ...["message.completed 2", "message.completed 2", "message.completed 2", "step.completed 2"],
    ...["step.started 2", "message.completed 2", "step.completed 2", "run.completed 2"],
  ]);
  const events = log.entries(run.id) as RunEvent[];
  expect(events.find(({ type }) => type === "run.resumed")).toMatchObject({
    reason: "approval",
    decisions: [
      { tool_call_id: "pay", decision: "approve", decided_by: place.userId, comment: null },
      { tool_call_id: "mail", decision: "edit", arguments: { expression: "2" }, comment: "less" },
    ],
  });
  // What ran is said, not what the model had asked for.
  const started = events.flatMap((event) => (event.type === "tool_call.started" ? [event.arguments] : []));
  expect(started).toEqual([{ expression: "1" }, { expression: "1" }, { expression: "2" }]);
  log.flush();
  const scope = { userId: null, accountId: place.accountId };
  await ensureLog({ db: worker.db, log }, { runId: run.id, scope, as: "writer" });
  const timeless = ({ at: _at, seq: _seq, ...event }: UnplacedEvent & { seq?: number }) => ({
    ...event,
    duration_ms: 0,
  });
  expect((log.entries(run.id) as RunEvent[]).slice(1).map(timeless)).toEqual(events.map(timeless));
  const steps = await asUser(api.db, { ...caller, reads: true }, (tx) => getTimeline(tx, { runId: run.id }));
  expect(steps?.filter(({ type }) => type === "tool-call").map(({ content }) => content)).toMatchObject([
    { tool_call_id: "free" },
    { tool_call_id: "pay", approval: { decision: "approve" } },
    {
      tool_call_id: "mail",
      arguments: { expression: "1" },
      approval: { decision: "edit", arguments: { expression: "2" } },
    },
  ]);
  const traced = await readTracedRun(worker.db, { runId: run.id, accountId: place.accountId });
  expect(traced?.toolCalls.map((call) => call.arguments)).toEqual(started);
});

test("a decision is about what was shown, by who may, once; repeating it changes nothing", async () => {
  const waiting = await aWaitingRun();
  const { run, place } = waiting;
  const viewer = (await aUser(database.owner)).userId;
  await aMember(database.owner, { accountId: place.accountId, userId: viewer, role: "viewer" });
  const stranger = (await aUser(database.owner)).userId;
  await expect(decide(waiting, "pay", {}, viewer)).rejects.toMatchObject({ code: "forbidden" });
  expect(await decide(waiting, "pay", {}, stranger)).toBeNull();
  expect(await decide(waiting, "free")).toBeNull();
  expect(await decide({ place, run: { ...run, id: crypto.randomUUID() } }, "pay")).toBeNull();
  await expect(decide(waiting, "pay", { digest: digestFor("mail") })).rejects.toMatchObject({
    code: "approval_mismatch",
  });
  await expect(decide(waiting, "pay", { decision: "edit", arguments: { a: "bad" } })).rejects.toMatchObject({
    code: "validation_failed",
    details: { errors: [{ pointer: "/arguments" }] },
  });
  expect(await rowOf(run.id)).toMatchObject({ status: "waiting" });

  const first = await decide(waiting, "pay", { decision: "reject", comment: "no" });
  expect(await decide(waiting, "pay", { decision: "reject", comment: "no!" })).toEqual(first);
  await expect(decide(waiting, "pay")).rejects.toMatchObject({ code: "conflict" });
  await decide(waiting, "mail", { decision: "edit", arguments: { a: 1, b: 2 } });
  const second = await resumed(run.id);
  // Also after the run went on.
  expect(await decide(waiting, "mail", { decision: "edit", arguments: { b: 2, a: 1 } })).toMatchObject({
    status: "running",
  });
  await expect(decide(waiting, "mail", { decision: "edit", arguments: { a: 1 } })).rejects.toMatchObject({
    code: "conflict",
  });
  const { input } = await aRecorder(second);
  expect(input.left?.calls.map((call) => (call.state === "decided" ? call.decision.kind : call.state))).toEqual([
    "run",
    "reject",
    "edit",
  ]);
  expect((await callsOf(run.id)).map(({ state }) => state)).toEqual(["started", "awaiting", "started"]);
  await expect(
    database.owner.query("update cortex.tool_approvals set decision = 'approve' where run_id = $1", [run.id]),
  ).rejects.toThrow("is decided");
});

test("of many who decide at once one is heard, and the run comes back once", async () => {
  const waiting = await aWaitingRun();
  await decide(waiting, "mail");
  const answers = await Promise.allSettled(
    Array.from({ length: 12 }, (_, index) =>
      decide(waiting, "pay", { decision: index % 2 === 0 ? "approve" : "reject" }),
    ),
  );
  const heard = answers.flatMap((each) => (each.status === "fulfilled" && each.value ? [each.value.decision] : []));
  expect(heard).toHaveLength(6);
  expect(new Set(heard).size).toBe(1);
  expect(
    answers.flatMap((each) => (each.status === "rejected" ? [(each.reason as { code: string }).code] : [])),
  ).toEqual(Array.from({ length: 6 }, () => "conflict"));
  expect(await rowOf(waiting.run.id)).toMatchObject({ status: "queued" });
  expect(await resumed(waiting.run.id)).toMatchObject({ attempt: 2 });
});

test("a stop voids what is open and says so; what was said comes too late", async () => {
  const waiting = await aWaitingRun();
  const { run, place } = waiting;
  await decide(waiting, "mail");
  expect(await stop(waiting)).toMatchObject({ status: "stopped" });
  expect(await rowOf(run.id)).toMatchObject({ status: "stopped", stop_receipt: { aborted: ["approval of shell"] } });
  await expect(decide(waiting, "pay")).rejects.toMatchObject({ code: "conflict" });
  expect(await decide(waiting, "mail")).toMatchObject({ status: "stopped", open_approvals: 1 });
  for (const call of await callsOf(run.id)) expect(call).toMatchObject({ state: "failed", begun: false });
  await close(waiting);
  await expectExactLog(run.id, place.accountId);
  expect(typesOf(run.id)).not.toContain("run.resumed 2");
  expect(typesOf(run.id)).not.toContain("tool_call.started 1");
  // The thread's next run finds a conversation that is whole.
  const next = await startRun(deps(), startInput({ ...place, prompt: "again" }));
  const { input } = await aRecorder(await claim(next.agent_run_id));
  expect(input.messages.filter(({ role }) => role === "tool").map((message) => message.tool_call_id)).toEqual(
    asked.map(({ id }) => id),
  );
});

test("stopped after everything was decided, before a worker took it: nothing has run", async () => {
  const waiting = await aWaitingRun();
  for (const id of ["pay", "mail"]) await decide(waiting, id);
  expect(await stop(waiting)).toMatchObject({ status: "stopped" });
  for (const call of await callsOf(waiting.run.id)) expect(call).toMatchObject({ state: "failed", begun: false });
  expect(await one("select count(*)::int as n from cortex.outbox where run_id = $1", [waiting.run.id])).toEqual({
    n: 0,
  });
  await close(waiting);
  await expectExactLog(waiting.run.id, waiting.place.accountId);
});

test("nobody decides in time: failed with a code of its own; a decision a moment before wins", async () => {
  const [late, early] = [await aWaitingRun(), await aWaitingRun()];
  const week = defaultRunSettings.maxApprovalMs;
  await pass(late.run.id, week - hour);
  await sweep();
  expect(await rowOf(late.run.id)).toMatchObject({ status: "waiting" });
  for (const id of ["pay", "mail"]) await decide(early, id);
  await pass(late.run.id, 2 * hour);
  await expect(decide(late, "pay")).rejects.toMatchObject({ code: "conflict" });
  await sweep();
  expect(await rowOf(late.run.id)).toMatchObject({ status: "failed", error: { code: "approval_expired" } });
  expect((await callsOf(late.run.id)).map(({ state }) => state)).toEqual(["failed", "failed", "failed"]);
  await expectExactLog(late.run.id, late.place.accountId);
  await sweep();
  expect(await rowOf(early.run.id)).toMatchObject({ status: "queued" });
});

test("decisions, stops and the sweeper at the same moment: one of them has it, and nothing is left behind", async () => {
  const ends = new Set<unknown>();
  for (let round = 0; round < 12; round += 1) {
    const waiting = await aWaitingRun();
    const { run, place } = waiting;
    await decide(waiting, "mail");
    if (round % 3 === 0) await pass(run.id, defaultRunSettings.maxApprovalMs + hour);
    const acts = [() => decide(waiting, "pay"), () => stop(waiting), sweep, admit];
    const order = acts.map((_, index) => acts[(index + round) % acts.length] ?? sweep);
    const done = await Promise.allSettled(order.map((act) => act()));
    const refusals = done.flatMap((each) =>
      each.status === "rejected" ? [(each.reason as { code?: string }).code] : [],
    );
    expect(refusals.filter((code) => code !== "conflict")).toEqual([]);
    const { status } = await rowOf(run.id);
    ends.add(status);
    const decided = await one<{ decision: string | null }>(
      "select decision from cortex.tool_approvals where run_id = $1 and call_id = 'pay'",
      [run.id],
    );
    const hasEnded = status === "stopped" || status === "failed";
    expect([decided.decision, hasEnded || decided.decision !== null]).toEqual([decided.decision, true]);
    expect((await callsOf(run.id)).some(({ begun }) => begun)).toBe(false);
    if (!hasEnded) await stop(waiting);
    await close(waiting);
    await expectExactLog(run.id, place.accountId);
  }
  expect(ends.size).toBeGreaterThan(0);
});

test("a worker that dies between the answer and the wait: its successor asks the same people the same", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record({ type: "step.started", step: 0, model: "demo" });
  await recorder.record(answeredForPeople(0, asked));
  await loseWorker(run.id);
  const successor = await claim(run.id);
  const again = await aRecorder(successor);
  expect(again.input.left?.calls.map(({ state }) => state)).toEqual(["run", "awaiting", "awaiting"]);
  // Nothing was claimed by looking.
  expect((await callsOf(run.id)).map(({ state }) => state)).toEqual(["released", "awaiting", "awaiting"]);
  await again.recorder.park(waitsForPeople(asked), defaultRunSettings);
  await expect(recorder.park(waitsForPeople(asked), defaultRunSettings)).rejects.toBeInstanceOf(FencedError);
  await expectExactLog(run.id, place.accountId);
  for (const id of ["pay", "mail"]) await decide({ run, place }, id);
  expect(await resumed(run.id)).toMatchObject({ attempt: 3 });
});

test("a worker that dies after the decision: what may have begun is unknown, what it let go of runs with its decision", async () => {
  const killed = await aWaitingRun();
  const handed = await aWaitingRun();
  for (const waiting of [killed, handed]) {
    await decide(waiting, "pay");
    await decide(waiting, "mail", { decision: "edit", arguments: { expression: "2" } });
    const second = await resumed(waiting.run.id);
    await aRecorder(second);
    if (waiting === killed) await loseWorker(second.id);
    else {
      const held = { runId: second.id, accountId: second.account_id, attempt: 2, notBegun: ["free", "pay", "mail"] };
      await handOver({ db: worker.db, outlast: untried }, held);
    }
  }
  const after = async ({ run }: Waiting) => (await aRecorder(await claim(run.id))).input.left?.calls;
  expect(await after(killed)).toMatchObject([{ state: "run" }, { state: "unknown" }, { state: "unknown" }]);
  expect(await after(handed)).toMatchObject([
    { state: "run" },
    { state: "decided", decision: { kind: "approve" } },
    { state: "decided", decision: { kind: "edit", arguments: { expression: "2" } } },
  ]);
});

test("a stop that was asked for before the wait ends the run instead, its calls settled", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record({ type: "step.started", step: 0, model: "demo" });
  await recorder.record(answeredForPeople(0, asked));
  await stop({ run, place });
  const parked = await recorder.park(waitsForPeople(asked), defaultRunSettings);
  if (parked.kind !== "ends") throw new Error("it waits");
  await recorder.finish(parked.outcome);
  expect(await rowOf(run.id)).toMatchObject({
    status: "stopped",
    stop_receipt: { aborted: ["approval of shell", "approval of shell"] },
  });
  for (const call of await callsOf(run.id))
    expect(call).toMatchObject({ begun: false, result: expect.stringContaining("not started") as string });
  await expectExactLog(run.id, place.accountId);
});

test("a run that waits blocks its thread, and is deleted with its decisions once it has ended", async () => {
  const waiting = await aWaitingRun();
  const { run, place } = waiting;
  await expect(startRun(deps(), startInput(place))).rejects.toMatchObject({ code: "thread_busy" });
  const caller = { userId: place.userId, accountId: null };
  await expect(asUser(api.db, caller, (tx) => deleteRun(tx, { runId: run.id }))).rejects.toMatchObject({
    code: "run_active",
  });
  await stop(waiting);
  await asUser(api.db, caller, (tx) => deleteRun(tx, { runId: run.id }));
  expect(await decide(waiting, "pay")).toBeNull();
  expect(await one("select count(*)::int as n from cortex.tool_approvals where run_id = $1", [run.id])).toEqual({
    n: 0,
  });
});
