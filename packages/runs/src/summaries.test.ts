import { noUsage } from "@cortex/contracts";
import { asAccount } from "@cortex/db";
import { type KyselyPlugin, sql } from "kysely";
import { afterAll, expect, test } from "vitest";
import type { ContextCompacted } from "./engine-events.ts";
import { ensureLog } from "./ensure-log.ts";
import { FencedError } from "./run.ts";
import { readPostedMessages, readRunInput } from "./run-input.ts";
import { startRun } from "./start-run.ts";
import { answered, called, nothingElse, stepDone } from "./testing/engine-script.ts";
import { createRunFixture, startInput } from "./testing/run-fixture.ts";
import { readStoredMessage, readThread } from "./thread-reading.ts";

const fixture = await createRunFixture();
const { database, worker, log, deps } = fixture;
const { aClaimedRun, aStart, claim, aRecorder, one, expectExactLog, loseWorker, post } = fixture;
afterAll(() => fixture.close());

type Recorder = Awaited<ReturnType<typeof aRecorder>>["recorder"];

/** A step with one tool call. @returns the id of its answer */
const playStep = async (recorder: Recorder, step: number): Promise<string> => {
  const answer = answered(step, `step ${step}`, [{ id: `call-${step}`, name: "calculator", effect: "pure" }]);
  if (answer.type !== "model.completed") throw new Error("an answer");
  await recorder.record({ type: "step.started", step, model: "demo" });
  await recorder.record(answer);
  for (const event of called(`call-${step}`, "calculator", `result ${step}`)) await recorder.record(event);
  await recorder.record(stepDone(step));
  return answer.message.id;
};

const messagesOf = async (threadId: string) =>
  (
    await database.owner.query<{ id: string; seq: number; role: string; all: string }>(
      "select id, seq, role, m::text as all from cortex.messages m where thread_id = $1 order by seq",
      [threadId],
    )
  ).rows;

const compacted = (step: number, before: string, keptUserMessages: string[], tainted = false): ContextCompacted => ({
  type: "context.compacted",
  step,
  summary: { id: crypto.randomUUID(), text: "what was done so far" },
  before,
  keptUserMessages,
  tainted,
  tokens_before: 1_000,
  tokens_after: 300,
  model: "writer",
  usage: { ...noUsage, input_tokens: 700, output_tokens: 50 },
  cost_usd: "0.0005",
});

const balanceOf = (accountId: string) =>
  one<{ balance: string }>(
    "select balance_usd::float8::text as balance from cortex.account_balances where account_id = $1",
    [accountId],
  );

/** Five steps, then a summary of the first three before the sixth. */
const summarisedRun = async (tainted = false) => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  const ids: string[] = [];
  for (let step = 0; step < 5; step += 1) ids.push(await playStep(recorder, step));
  const before = await messagesOf(place.threadId);
  await recorder.record({ type: "step.started", step: 5, model: "demo" });
  const event = compacted(5, ids[3] ?? "", [before[0]?.id ?? ""], tainted);
  await recorder.record(event);
  return { place, run, recorder, event, before };
};

test("a summary stands beside the messages, costs its own entry, and is in the log, the rebuilt one too", async () => {
  const { place, run, recorder, event, before } = await summarisedRun();
  expect(await messagesOf(place.threadId)).toEqual(before);
  // 0 is the prompt, then an answer and a result for each step: the fourth step begins at 7.
  expect(log.entries(run.id).at(-1)).toMatchObject({
    type: "context.compacted",
    step: 5,
    summary_id: event.summary.id,
    summary: "what was done so far",
    through_seq: 6,
    cost_usd: "0.0005",
  });
  expect(await balanceOf(place.accountId)).toEqual({ balance: "-0.0055" });

  await recorder.record(answered(5, "Done."));
  await recorder.record(stepDone(5));
  await recorder.finish({ kind: "completed", ...nothingElse });
  await expectExactLog(run.id, place.accountId);
  const totals = await one<{ cost: string; input: number }>(
    "select cost_usd::float8::text as cost, (usage->>'input_tokens')::int as input from cortex.agent_runs where id = $1",
    [run.id],
  );
  expect(totals).toEqual({ cost: "0.0065", input: 6 * 10 + 700 });
  log.flush();
  await ensureLog(
    { db: worker.db, log },
    { runId: run.id, scope: { userId: null, accountId: place.accountId }, as: "reader" },
  );
  await expectExactLog(run.id, place.accountId);
});

test("the next attempt reads the summary and what it does not stand for, knows the ids it hides, and pays for nothing again", async () => {
  const { place, run } = await summarisedRun(true);
  await loseWorker(run.id);
  const second = await claim(run.id);
  const input = await readRunInput(worker.db, second);
  expect(input.summary).toMatchObject({ text: "what was done so far", tainted: true, throughSeq: 6, runId: run.id });
  expect(input.messages.map(({ seq }) => seq)).toEqual([0, 7, 8, 9, 10]);
  expect(input.summarisedCallIds.toSorted()).toEqual([0, 1, 2, 3, 4].map((step) => `call-${step}`));
  expect(input).toMatchObject({ firstStep: 5, nextSeq: 11, spent: { costUsd: "0.0055" } });

  const { recorder } = await aRecorder(second);
  await recorder.record({ type: "step.started", step: 5, model: "demo" });
  await recorder.record(answered(5, "Done."));
  await recorder.record(stepDone(5));
  await recorder.finish({ kind: "completed", ...nothingElse });
  await expectExactLog(run.id, place.accountId);
  expect(log.entries(run.id).filter(({ type }) => type === "context.compacted")).toHaveLength(1);

  // The thread's next run begins with it, too.
  const next = await startRun(deps(), startInput({ ...place, prompt: "and now?" }));
  const following = await readRunInput(worker.db, await claim(next.agent_run_id));
  expect(following.summary?.text).toBe("what was done so far");
  expect(following.summarisedCallIds).toEqual([]);
  expect(following.messages.map(({ seq }) => seq)).toEqual([0, 7, 8, 9, 10, 11, 12]);
  expect(following).toMatchObject({ firstStep: 0, nextSeq: 13 });
});

test("an attempt that is superseded writes no summary and pays for none", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  const first = await playStep(recorder, 0);
  await recorder.record({ type: "step.started", step: 1, model: "demo" });
  await loseWorker(run.id);
  await claim(run.id);
  const balance = await balanceOf(place.accountId);
  const asked = (await messagesOf(place.threadId))[0]?.id ?? "";
  await expect(Promise.resolve(recorder.record(compacted(1, first, [asked])))).rejects.toThrow(FencedError);
  expect(
    await one("select count(*)::int as summaries from cortex.context_summaries where run_id = $1", [run.id]),
  ).toEqual({
    summaries: 0,
  });
  expect(await balanceOf(place.accountId)).toEqual(balance);
});

test("what was posted while the first kept answer was written is still sent: it has the lower seq", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await playStep(recorder, 0);
  await post(place, "wait, also this");
  const answer = await playStep(recorder, 1);
  const stored = await messagesOf(place.threadId);
  const users = stored.filter(({ role }) => role === "user").map(({ id }) => id);
  await recorder.record({ type: "step.started", step: 2, model: "demo" });
  await recorder.record(compacted(2, answer, users));
  const { messages } = await asAccount(worker.db, { accountId: place.accountId }, (tx) => readThread(tx, run));
  expect(messages.map(({ seq, role }) => `${seq} ${role}`)).toEqual(["0 user", "3 user", "4 assistant", "5 tool"]);
});

/** Counts statements that read messages. */
const counting = () => {
  const seen = { reads: 0 };
  const plugin: KyselyPlugin = {
    transformQuery: ({ node }) => {
      if (JSON.stringify(node).includes("messages")) seen.reads += 1;
      return node;
    },
    transformResult: async ({ result }) => result,
  };
  return { seen, db: worker.db.withPlugin(plugin) };
};

test("a thread of a thousand messages is one read per run, not one per step, of no more than what is sent", async () => {
  const place = await aStart({ planId: "local" });
  const other = await aStart({ planId: "local" });
  for (const [{ threadId, accountId }, count] of [
    [place, 1_000],
    [other, 5_000],
  ] as const) {
    await database.owner.query(
      `insert into cortex.messages (account_id, thread_id, seq, role, content)
       select $2, $1, seq, 'user', '[{"type": "text", "text": "old"}]' from generate_series(0, $3 - 1) seq`,
      [threadId, accountId, count],
    );
    await database.owner.query("update cortex.threads set next_seq = $2 where id = $1", [threadId, count]);
  }
  await database.owner.query("analyze cortex.messages");
  const started = await startRun(deps(), startInput(place));
  const run = await claim(started.agent_run_id);

  const { seen, db } = counting();
  const input = await readRunInput(db, run);
  expect(input.messages).toHaveLength(1_001);
  const { recorder } = await aRecorder(run, { db, outlast: (work) => work() });
  const reads = seen.reads;
  let last = "";
  for (let step = 0; step < 10; step += 1) last = await playStep(recorder, step);
  expect(recorder.posted()).toBe(false);
  // Each step writes messages, and that alone: two statements, for its answer and its results.
  expect(seen.reads - reads).toBe(20);
  // The control: a conversation that were read again in each step would be seen.
  for (let step = 0; step < 10; step += 1)
    await readPostedMessages(db, { ...place, fromSeq: 0, toSeq: 5, runId: run.id });
  expect(seen.reads - reads).toBe(30);

  await recorder.record({ type: "step.started", step: 10, model: "demo" });
  await recorder.record(compacted(10, last, [input.messages[0]?.id ?? ""]));
  const rows = await asAccount(worker.db, { accountId: place.accountId }, async (tx) => {
    const fetched = async () => {
      const { rows: found } = await sql<{ scanned: number; fetched: number }>`
        select seq_tup_read::int as scanned, idx_tup_fetch::int as fetched
        from pg_stat_xact_user_tables where relname = 'messages'`.execute(tx);
      return found[0] ?? { scanned: 0, fetched: 0 };
    };
    // The connection counts what it has not reported yet of its transactions before, too.
    const earlier = await fetched();
    const { messages } = await readThread(tx, run);
    const now = await fetched();
    return { sent: messages.length, scanned: now.scanned - earlier.scanned, fetched: now.fetched - earlier.fetched };
  });
  // The first message, the last answer and its result, of 1,021.
  expect(rows).toEqual({ sent: 3, scanned: 0, fetched: 3 });
});

test("a message is read back by its id or by its call's, within its thread and account alone", async () => {
  const { place } = await summarisedRun();
  const foreign = await summarisedRun();
  const stored = await messagesOf(place.threadId);
  const read = (id: string, where: { accountId: string; threadId: string } = place) =>
    readStoredMessage(worker.db, { accountId: where.accountId, threadId: where.threadId, id });
  expect(await read("call-1")).toMatchObject({ role: "tool", content: [{ type: "text", text: "result 1" }] });
  expect(await read(stored[1]?.id ?? "")).toMatchObject({ role: "assistant" });
  expect(await read("call-9")).toBeNull();
  expect(await read("'; drop table x; --")).toBeNull();
  const [theirs] = await messagesOf(foreign.place.threadId);
  expect(await read(theirs?.id ?? "")).toBeNull();
  // Their thread under our account: row-level security.
  expect(await read("call-1", { accountId: place.accountId, threadId: foreign.place.threadId })).toBeNull();
});

test("a picture is part of its message and of no event, and a call that has one is settled with its step", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  const asked = ["look", "sum"].map((id) => ({ id, name: "calculator", effect: "pure" as const }));
  await recorder.record({ type: "step.started", step: 0, model: "demo" });
  await recorder.record(answered(0, "", asked));
  const images = [{ mediaType: "image/png", data: "QUJD" }];
  for (const event of called("look", "calculator", "shown")) {
    await recorder.record(event.type === "tool_call.completed" ? { ...event, images } : event);
  }
  const state = () =>
    one<{ state: string }>("select state from cortex.tool_calls where run_id = $1 and call_id = 'look'", [run.id]);
  // A worker that dies here makes the picture again.
  expect(await state()).toEqual({ state: "started" });
  for (const event of called("sum", "calculator", "15")) await recorder.record(event);
  await recorder.record(stepDone(0));
  expect(await state()).toEqual({ state: "done" });
  expect(await readStoredMessage(worker.db, { ...place, id: "look" })).toMatchObject({
    content: [
      { type: "text", text: "shown" },
      { type: "image", url: "data:image/png;base64,QUJD", media_type: "image/png" },
    ],
  });
  const said = JSON.stringify(log.entries(run.id));
  expect(said).not.toContain("QUJD");
  expect(said).toContain('"url":"data:image/png,"');
  await recorder.record({ type: "step.started", step: 1, model: "demo" });
  await recorder.record(answered(1, "Done."));
  await recorder.finish({ kind: "completed", ...nothingElse });
  await expectExactLog(run.id, place.accountId);
});
