import { noUsage } from "@cortex/contracts";
import { afterAll, expect, test } from "vitest";
import { claimRun } from "./claim-run.ts";
import { handOver } from "./hand-over.ts";
import { FencedError } from "./run.ts";
import { readRunInput } from "./run-input.ts";
import { defaultRunSettings } from "./settings.ts";
import { answered, called, nothingElse } from "./testing/engine-script.ts";
import { createRunFixture, untried } from "./testing/run-fixture.ts";

const fixture = await createRunFixture();
const { database, worker, log, aClaimedRun, claim, aRecorder, one, expectExactLog, loseWorker, post } = fixture;
afterAll(() => fixture.close());

const twoCalls = [
  { id: "a", name: "shell", effect: "once" as const },
  { id: "b", name: "calculator", effect: "pure" as const },
  { id: "c", name: "calculator", effect: "pure" as const },
];
const spentNothing = { usage: noUsage, cost_usd: "0" };

test("a step that one attempt began and another finished reads the same live and from Postgres", async () => {
  const { place, run } = await aClaimedRun();
  const first = await aRecorder(run);
  await first.recorder.record({ type: "step.started", step: 0, model: "demo" });
  await first.recorder.record(answered(0, "", twoCalls));
  for (const event of called("b", "calculator", "2")) await first.recorder.record(event);
  await loseWorker(run.id);

  const { recorder, input } = await aRecorder(await claim(run.id));
  expect(input.left?.calls.map(({ call, state }) => [call.id, state])).toEqual([
    ["a", "unknown"],
    ["b", "done"],
    ["c", "run"],
  ]);
  await recorder.record({
    type: "tool_call.completed",
    tool_call_id: "a",
    name: "shell",
    result: "nobody knows",
    is_error: true,
    effect_state: "unknown",
    duration_ms: 0,
  });
  for (const event of called("c", "calculator", "3")) await recorder.record(event);
  // The engine says what it spent itself on closing the step.
  await recorder.record({ type: "step.completed", step: 0, model: "demo", ...spentNothing, duration_ms: 1 });
  await recorder.record({ type: "step.started", step: 1, model: "demo" });
  await expectExactLog(run.id, place.accountId);
  await recorder.record(answered(1, "5"));
  await recorder.finish({ kind: "completed", ...nothingElse });
  await expectExactLog(run.id, place.accountId);
  expect(log.entries(run.id).filter((event) => event.type === "step.started")).toHaveLength(2);
});

test("a released call is claimed anew: it is repeated by one successor, and not after that one's crash", async () => {
  const { place, run } = await aClaimedRun();
  const first = await aRecorder(run);
  await first.recorder.record(answered(0, "", twoCalls));
  const handed = { runId: run.id, accountId: place.accountId };
  await handOver({ db: worker.db, outlast: untried }, { ...handed, attempt: 1, notBegun: ["a", "b", "c"] });
  const second = await claim(run.id);
  expect((await readRunInput(worker.db, second)).left?.calls[0]).toMatchObject({ state: "run" });
  // It acts, and its worker dies.
  await loseWorker(run.id);
  const third = await claim(run.id);
  expect((await readRunInput(worker.db, third)).left?.calls[0]).toMatchObject({ state: "unknown" });
  // One that hands over in its turn before it began gives the release on; a late one gets nothing.
  await handOver({ db: worker.db, outlast: untried }, { ...handed, attempt: third.attempt, notBegun: ["a"] });
  await expect(readRunInput(worker.db, second)).rejects.toThrow(FencedError);
});

test("a message posted while the last answer was written is asked next, by this attempt or its successor", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record({ type: "step.started", step: 0, model: "demo" });
  await post(place, "and the other thing?");
  await recorder.record(answered(0, "the answer"));
  expect(await recorder.finish({ kind: "completed", ...nothingElse })).toEqual({ kind: "posted" });

  const again = await readRunInput(worker.db, run);
  expect(again).toMatchObject({ firstStep: 1, left: null, nextSeq: 3, spent: { costUsd: "0.001" } });
  expect(again.messages.map((message) => message.seq)).toEqual([0, 2, 1]);
  await loseWorker(run.id);
  const successor = await aRecorder(await claim(run.id));
  expect(successor.input.messages.map((message) => message.seq)).toEqual([0, 2, 1]);

  await successor.recorder.record({ type: "step.started", step: 1, model: "demo" });
  await successor.recorder.record(answered(1, "both answers"));
  await successor.recorder.finish({ kind: "completed", ...nothingElse });
  expect(
    await one(
      `select cost_usd::float as cost, (select count(*)::int from cortex.run_steps where run_id = $1) as steps,
         (select sum(amount_usd)::float from cortex.ledger_entries where run_id = $1) as charged
       from cortex.agent_runs where id = $1`,
      [run.id],
    ),
  ).toEqual({ cost: 0.002, steps: 2, charged: -0.002 });
  await expectExactLog(run.id, place.accountId);
});

test("a superseded attempt that ends is fenced, even where its successor has written to the thread", async () => {
  const { run } = await aClaimedRun();
  const zombie = await aRecorder(run);
  await loseWorker(run.id);
  const { recorder } = await aRecorder(await claim(run.id));
  await recorder.record(answered(0, "", twoCalls));
  await expect(zombie.recorder.finish({ kind: "completed", ...nothingElse })).rejects.toThrow(FencedError);
});

test("a stopped step keeps the results that its calls had, and the receipt has the time of the wish", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record(answered(0, "", twoCalls));
  for (const event of called("b", "calculator", "2")) await recorder.record(event);
  await database.owner.query(
    "update cortex.agent_runs set stop_requested_at = '2026-01-01T00:00:00.123Z' where id = $1",
    [run.id],
  );
  const unfinished = [
    { tool_call_id: "a", name: "shell", result: "not known", effect_state: "unknown" as const },
    { tool_call_id: "c", name: "calculator", result: "not begun", effect_state: "none" as const },
  ];
  await recorder.finish({
    kind: "aborted",
    interrupted: null,
    unfinished,
    aborted: ["tool call shell"],
    killed: [],
    ...nothingElse,
  });
  const { rows } = await database.owner.query(
    "select tool_call_id as id, content->0->>'text' as text from cortex.messages where thread_id = $1 and role = 'tool' order by seq",
    [place.threadId],
  );
  expect(rows).toEqual([
    { id: "a", text: "not known" },
    { id: "b", text: "2" },
    { id: "c", text: "not begun" },
  ]);
  const receipt = await one("select stop_receipt->>'requested_at' as at from cortex.agent_runs where id = $1", [
    run.id,
  ]);
  expect(receipt).toEqual({ at: "2026-01-01T00:00:00.123Z" });
  await expectExactLog(run.id, place.accountId);
});

test("a call that a stop kept from beginning is not said to be done, in no reading", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record(answered(0, "", [{ id: "a", name: "shell", effect: "once" }]));
  const unfinished = [{ tool_call_id: "a", name: "shell", result: "not begun", effect_state: "none" as const }];
  await recorder.finish({ kind: "aborted", interrupted: null, unfinished, aborted: [], killed: [], ...nothingElse });
  const call = await one("select state, is_error from cortex.tool_calls where run_id = $1", [run.id]);
  expect(call).toEqual({ state: "failed", is_error: true });
  await expectExactLog(run.id, place.accountId);
});

test("a run that kills every worker is not claimed for ever", async () => {
  const { run } = await aClaimedRun();
  for (let attempt = 2; attempt <= defaultRunSettings.maxAttemptsWithoutProgress; attempt++) {
    await loseWorker(run.id);
    expect((await claim(run.id)).attempt).toBe(attempt);
  }
  await loseWorker(run.id);
  expect(await claimRun(worker.db, { runId: run.id, workerId: "w", settings: defaultRunSettings })).toBeNull();
});
