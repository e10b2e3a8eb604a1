import { noUsage } from "@cortex/contracts";
import { isOutage, openDatabase } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { createFaultProxy, type FaultProxy } from "@cortex/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { claimRun } from "./claim-run.ts";
import type { EngineEvent } from "./engine-events.ts";
import { handOver } from "./hand-over.ts";
import { createOutlast } from "./outlast.ts";
import { FencedError } from "./run.ts";
import { defaultRunSettings as settings } from "./settings.ts";
import { startRun } from "./start-run.ts";
import { answered, called, nothingElse, stepDone } from "./testing/engine-script.ts";
import { createRunFixture, startInput } from "./testing/run-fixture.ts";

/*
 * A connection that breaks while a transaction commits leaves its client without knowing. Here it breaks on purpose: before the commit reaches
 * Postgres, or after Postgres has done it and before anybody heard.
 */

const fixture = await createRunFixture();
const { database, claim, aClaimedRun, aStart, aRecorder, one, expectExactLog, factsOf, loseWorker, post } = fixture;
let proxy: FaultProxy;
let far: ReturnType<typeof openDatabase>;
beforeAll(async () => {
  const { hostname, port } = new URL(database.workerUrl);
  proxy = await createFaultProxy({ host: hostname, port: Number(port) });
});
beforeEach(() => {
  // A connection of its own for each test: statements send their text only once over a connection.
  far = openDatabase({ url: proxy.through(database.workerUrl), poolSize: 2, name: "far", log: silentLogger() });
  return () => far.close();
});
afterAll(async () => {
  await proxy.close();
  await fixture.close();
});

const until = (ms: number) => {
  const end = performance.now() + ms;
  return createOutlast({ log: silentLogger() }, { until: () => end });
};
const over = () => ({ db: far.db, outlast: until(30_000) });

/** Two tools, one after the other, and an answer: four transactions. */
const script = (): EngineEvent[] => [
  answered(0, "let me see", [
    { id: "a", name: "calculator", effect: "pure" },
    { id: "b", name: "shell", effect: "once" },
  ]),
  ...called("a", "calculator", "15"),
  ...called("b", "shell", "done"),
  stepDone(0),
  { type: "step.started", step: 1, model: "demo" },
  answered(1, "45"),
  stepDone(1),
];

const commits = [1, 2, 3, 4];

test.for(commits.flatMap((nth) => [["request", nth] as const, ["answer", nth] as const]))(
  "the connection breaks at the %s of commit %i: everything is written once, and the attempt goes on",
  async ([loses, nth]) => {
    const { place, run } = await aClaimedRun();
    const { recorder } = await aRecorder(run, over());
    const breaks = proxy.broken() + 1;
    let written = 0;
    const writes = async (event: EngineEvent) => {
      const result = recorder.record(event);
      if (result) await result;
    };
    for (const event of script()) {
      const commit =
        event.type === "model.completed"
          ? event.step === 0
          : event.type === "tool_call.completed" && event.tool_call_id === "a";
      const endsStep = event.type === "step.completed" && event.step === 0;
      if ((commit || endsStep) && ++written === nth) proxy.breakAt("commit", loses);
      await writes(event);
    }
    if (nth === 4) proxy.breakAt("commit", loses);
    await recorder.finish({ kind: "completed", ...nothingElse });
    expect(proxy.broken()).toBe(breaks);

    await expectExactLog(run.id, place.accountId);
    const facts = await factsOf(run.id, place.accountId);
    expect(facts?.run).toMatchObject({ status: "completed", attempt: 2, terminal_writes: 1, cost_usd: "0.0020000000" });
    expect(facts?.messages.map(({ message }) => [message.seq, message.role])).toEqual([
      [1, "assistant"],
      [2, "tool"],
      [3, "tool"],
      [4, "assistant"],
    ]);
    expect(
      await one(
        `select (select -sum(amount_usd) from cortex.ledger_entries where run_id = $1)::text as booked,
           (select next_seq from cortex.threads where id = $2) as next_seq,
           (select balance_usd - (select sum(amount_usd) from cortex.ledger_entries where account_id = $3)
             from cortex.account_balances where account_id = $3)::float as off`,
        [run.id, place.threadId, place.accountId],
      ),
    ).toEqual({ booked: "0.0020000000", next_seq: 5, off: 0 });
  },
);

test("a claim whose answer was lost is found again by its worker, and by nobody else", async () => {
  const place = await aStart({ planId: "local" });
  const { agent_run_id: runId } = await startRun(fixture.deps(), startInput(place));
  proxy.breakAt("taken_off", "answer");
  const breaks = proxy.broken() + 1;
  const ours = { runId, workerId: "w", claimId: crypto.randomUUID(), settings };
  const run = await until(30_000)(() => claimRun(far.db, ours));
  expect(proxy.broken()).toBe(breaks);
  expect(run).toMatchObject({ id: runId, attempt: 1, worker_id: "w" });
  expect(await claimRun(far.db, { ...ours, claimId: crypto.randomUUID() })).toBeNull();
});

test("an end whose answer was lost is not taken for somebody else's, and somebody else's is not taken for ours", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run, over());
  await recorder.record(answered(0, "never stored"));
  await loseWorker(run.id);
  const next = await claim(run.id);
  const second = await aRecorder(next);
  await second.recorder.record(answered(0, "stored"));
  await second.recorder.finish({ kind: "completed", ...nothingElse });
  await expect(recorder.finish({ kind: "completed", ...nothingElse })).rejects.toThrow(FencedError);
  expect((await factsOf(run.id, place.accountId))?.messages).toHaveLength(1);
});

test("a message posted before an end whose answer was lost is not forgotten", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run, over());
  await recorder.record(answered(0, "an answer"));
  await post(place, "one more thing");
  // The refused end rolls back; what is broken is the write that follows it.
  proxy.breakAt("commit", "answer");
  expect(await recorder.finish({ kind: "completed", ...nothingElse })).toEqual({ kind: "posted" });
  expect(await one("select status, attempt from cortex.agent_runs where id = $1", [run.id])).toEqual({
    status: "running",
    attempt: 1,
  });
  expect((await factsOf(run.id, place.accountId))?.messages).toHaveLength(1);
});

test("a hand-over whose answer was lost gives one attempt back, not two", async () => {
  const { place, run } = await aClaimedRun();
  await database.owner.query("update cortex.agent_runs set attempts_since_step = 3 where id = $1", [run.id]);
  proxy.breakAt("commit", "answer");
  await handOver(over(), { runId: run.id, accountId: place.accountId, attempt: 1, notBegun: [] });
  expect(await one("select attempts_since_step from cortex.agent_runs where id = $1", [run.id])).toEqual({
    attempts_since_step: 2,
  });
});

test("a wait whose answer was lost is one wait, and its attempt is over", async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run, over());
  await recorder.record({ type: "step.started", step: 0, model: "demo" });
  proxy.breakAt("commit", "answer");
  const parked = await recorder.park(
    {
      kind: "waiting",
      reason: "provider_limit",
      code: "model_rate_limited",
      message: "limited",
      retryAfterMs: 60_000,
      unreported: { usage: noUsage, cost_usd: "0.0004" },
    },
    settings,
  );
  expect(parked).toMatchObject({ kind: "parked" });
  await expectExactLog(run.id, place.accountId);
  expect(
    await one(
      `select status, cost_usd::float as cost, (select count(*)::int from cortex.run_waits where run_id = $1) as waits
       from cortex.agent_runs where id = $1`,
      [run.id],
    ),
  ).toEqual({ status: "waiting", cost: 0.0004, waits: 1 });
});

test("hope ends with the lease, and what is no outage is not tried again", async () => {
  const { place, run } = await aClaimedRun();
  await proxy.set("refuse");
  const { recorder } = await aRecorder(run);
  await expect(
    recorder.record(answered(0, "", [{ id: "c", name: "calculator", effect: "pure" }])),
  ).resolves.toBeUndefined();
  let tries = 0;
  const whileHeld = createOutlast({ log: silentLogger() }, { until: () => (tries < 3 ? Infinity : -Infinity) });
  const asked = whileHeld(async () => {
    tries += 1;
    await far.db.selectFrom("agent_runs").select("id").execute();
  });
  await expect(asked).rejects.toSatisfy(isOutage);
  expect(tries).toBe(3);
  await proxy.set("pass");
  tries = 0;
  const wrong = until(30_000)(async () => {
    tries += 1;
    throw new Error("a fault of ours");
  });
  await expect(wrong).rejects.toThrow("a fault of ours");
  expect(tries).toBe(1);
  expect(place.threadId).toBeDefined();
});
