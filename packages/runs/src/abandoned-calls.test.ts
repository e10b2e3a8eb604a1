import { asAccount } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { afterAll, expect, test } from "vitest";
import { ensureLog } from "./ensure-log.ts";
import { finishFromOutside } from "./finish-from-outside.ts";
import { defaultRunSettings } from "./settings.ts";
import { stopRun } from "./stop-run.ts";
import { sweepRuns } from "./sweep-runs.ts";
import { answered, called, nothingElse, stepDone } from "./testing/engine-script.ts";
import { createRunFixture } from "./testing/run-fixture.ts";

const fixture = await createRunFixture();
const { api, worker, database, log, aClaimedRun, claim, aRecorder, expectExactLog, loseWorker, post } = fixture;
afterAll(() => fixture.close());

const sweep = () =>
  sweepRuns(
    { db: worker.db, log: silentLogger(), deliver: () => undefined, jobState: async () => "absent", eventLog: log },
    defaultRunSettings,
  );

const askToStop = (runId: string, userId: string) =>
  stopRun({ db: api.db, announceStop: () => undefined, closeLog: () => undefined }, { runId, userId, accountId: null });

const conversation = async (threadId: string) =>
  (
    await database.owner.query<{ seq: number; role: string; call: string | null; text: string }>(
      "select seq, role, tool_call_id as call, content->0->>'text' as text from cortex.messages where thread_id = $1 order by seq",
      [threadId],
    )
  ).rows;

test("a run that is ended for its lost worker leaves the conversation and the log as any other end", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record(
    answered(0, "on it", [
      { id: "settled", name: "calculator", effect: "pure" },
      { id: "begun", name: "shell", effect: "once" },
      { id: "harmless", name: "calculator", effect: "pure" },
    ]),
  );
  for (const event of called("settled", "calculator", "2")) await recorder.record(event);
  // Somebody writes meanwhile: the results get the numbers behind it.
  await post(place, "wait");
  await askToStop(run.id, place.userId);
  await loseWorker(run.id);
  expect(await sweep()).toMatchObject({ ended: 1 });

  const messages = await conversation(place.threadId);
  expect(messages.map(({ seq, role, call }) => [seq, role, call])).toEqual([
    [0, "user", null],
    [1, "assistant", null],
    [2, "user", null],
    [3, "tool", "settled"],
    [4, "tool", "begun"],
    [5, "tool", "harmless"],
  ]);
  expect(messages.map((message) => message.text).slice(3)).toEqual([
    "2",
    expect.stringContaining("not known whether it took effect"),
    expect.stringContaining("before this call was done"),
  ]);
  await expectExactLog(run.id, place.accountId);
  expect(log.entries(run.id).at(-1)).toMatchObject({ type: "run.stopped", receipt: { aborted: ["lost worker"] } });

  // Once more, or late: nothing.
  expect(await sweep()).toMatchObject({ ended: 0 });
  expect(await conversation(place.threadId)).toEqual(messages);
  // The next message finds its place.
  await post(place, "and now?");
  expect((await conversation(place.threadId)).at(-1)).toMatchObject({ seq: 6 });
});

test("a worker that was only late keeps its run: nothing is ended or settled under it", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record(answered(0, "on it", [{ id: "begun", name: "shell", effect: "once" }]));
  // The sweeper saw the lease ended; since then a heartbeat has come.
  const ended = await asAccount(worker.db, { accountId: run.account_id }, (tx) =>
    finishFromOutside(tx, {
      runId: run.id,
      attempt: run.attempt,
      status: "failed",
      error: { code: "worker_lost", message: "gone", retryable: true },
      receipt: null,
    }),
  );
  expect(ended).toBe(false);
  for (const event of [...called("begun", "shell", "done"), stepDone(0)]) await recorder.record(event);
  await recorder.finish({ kind: "completed", ...nothingElse });
  await expectExactLog(run.id, place.accountId);
});

test("calls are settled in the name of the last attempt: the log of a run that two workers lost never goes back", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record(answered(0, "on it", [{ id: "begun", name: "calculator", effect: "pure" }]));
  await loseWorker(run.id);
  await aRecorder(await claim(run.id));
  await askToStop(run.id, place.userId);
  await loseWorker(run.id);
  expect(await sweep()).toMatchObject({ ended: 1 });
  const attempts = log.entries(run.id).map((event) => event.attempt);
  expect(attempts).toEqual(attempts.toSorted((left, right) => left - right));
  expect(log.entries(run.id)).toContainEqual(expect.objectContaining({ type: "tool_call.completed", attempt: 2 }));
  await expectExactLog(run.id, place.accountId);
});

test("what a lost worker had only streamed is said to be void before the end", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  const [kept, lost] = [crypto.randomUUID() as never, crypto.randomUUID() as never];
  await recorder.record({ type: "message.delta", message_id: kept, text: "let me see" });
  const first = answered(0, "let me see", [{ id: "one", name: "calculator", effect: "pure" }]);
  await recorder.record(
    first.type === "model.completed" ? { ...first, message: { ...first.message, id: kept } } : first,
  );
  for (const event of called("one", "calculator", "2")) await recorder.record(event);
  await recorder.record(stepDone(0));
  await recorder.record({ type: "step.started", step: 1, model: "demo" });
  await recorder.record({ type: "reasoning.delta", message_id: lost, text: "Hmm" });
  await recorder.record({ type: "message.delta", message_id: lost, text: "The answ" });
  await askToStop(run.id, place.userId);
  await loseWorker(run.id);
  expect(await sweep()).toMatchObject({ ended: 1 });
  const entries = log.entries(run.id);
  expect(entries.slice(-2)).toMatchObject([
    { type: "message.discarded", message_id: lost, reason: "interrupted" },
    { type: "run.stopped" },
  ]);
  expect(entries.filter((event) => event.type === "message.discarded")).toHaveLength(1);
  expect((await conversation(place.threadId)).map((message) => message.role)).toEqual(["user", "assistant", "tool"]);

  // A log without deltas has nothing to take back.
  log.flush();
  await ensureLog(
    { db: worker.db, log },
    { runId: run.id, scope: { userId: null, accountId: place.accountId }, as: "reader" },
  );
  expect(log.entries(run.id).some((event) => event.type === "message.discarded")).toBe(false);
});
