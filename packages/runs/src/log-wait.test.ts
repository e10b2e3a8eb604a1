import { silentLogger } from "@cortex/observability";
import { afterAll, expect, test } from "vitest";
import { admitRuns } from "./admission.ts";
import { type LogPort, openLog } from "./ensure-log.ts";
import { heartbeat } from "./fleet.ts";
import { logWait } from "./log-wait.ts";
import type { RunRow } from "./run.ts";
import { defaultRunSettings } from "./settings.ts";
import { sweepRuns } from "./sweep-runs.ts";
import { limited } from "./testing/engine-script.ts";
import { createRunFixture } from "./testing/run-fixture.ts";

const fixture = await createRunFixture();
const { database, worker, log, deps } = fixture;
const { aClaimedRun, claim, aRecorder, one, expectExactLog } = fixture;
afterAll(() => fixture.close());

const atOnce = { ...defaultRunSettings, unclosedLogMs: 0 };
const sweep = (settings = atOnce, eventLog: LogPort = log) =>
  sweepRuns(
    { db: worker.db, log: silentLogger(), deliver: deps().deliver, eventLog, jobState: async () => "waiting" },
    settings,
  );
const typesOf = (runId: string) => log.entries(runId).map(({ type, attempt }) => `${type} ${attempt}`);
const unlogged = async (runId: string) =>
  (
    await one<{ unlogged: boolean }>(
      "select wait_unlogged_since is not null as unlogged from cortex.agent_runs where id = $1",
      [runId],
    )
  ).unlogged;

const aParkedRun = async () => {
  const { place, run } = await aClaimedRun();
  const { recorder } = await aRecorder(run);
  await recorder.record({ type: "step.started", step: 0, model: "demo" });
  expect(await recorder.park(limited(60_000), defaultRunSettings)).toMatchObject({ kind: "parked", logged: true });
  return { place, run };
};

/** Its worker has died between the commit and the log. */
const aSilentlyParkedRun = async () => {
  const parked = await aParkedRun();
  log.forgetLast(parked.run.id);
  expect(typesOf(parked.run.id)).toEqual(["run.queued 0", "run.started 1", "step.started 1"]);
  return parked;
};

const backInLine = async ({ id }: Pick<RunRow, "id">) => {
  await database.owner.query("update cortex.agent_runs set resume_at = now() where id = $1", [id]);
  await admitRuns({ db: worker.db, deliver: deps().deliver }, { batch: 100 });
  return claim(id);
};

const beat = (run: Pick<RunRow, "id" | "attempt">) =>
  heartbeat(worker.db, {
    ...{ workerId: "w", concurrency: 1_000, leaseMs: 15_000, runs: [], closed: [] },
    waiting: [{ runId: run.id, attempt: run.attempt }],
  });

test("a wait that was committed and not logged is logged by a sweep, once, and not before its worker had time to", async () => {
  const { place, run } = await aSilentlyParkedRun();
  expect(await sweep(defaultRunSettings)).toMatchObject({ waitsLogged: 0 });
  expect(typesOf(run.id)).toHaveLength(3);
  expect(await sweep()).toMatchObject({ waitsLogged: 1 });
  expect(typesOf(run.id)).toEqual(["run.queued 0", "run.started 1", "step.started 1", "run.waiting 1"]);
  await expectExactLog(run.id, place.accountId);
  expect(await sweep()).toMatchObject({ waitsLogged: 0 });
  // The next attempt goes on where the sweep stopped.
  await openLog({ db: worker.db, log }, await backInLine(run));
  await expectExactLog(run.id, place.accountId);
});

test("what the heartbeat has noted no sweep looks at; what it says late is about that wait alone", async () => {
  const { run } = await aParkedRun();
  expect(await unlogged(run.id)).toBe(true);
  await beat(run);
  expect(await unlogged(run.id)).toBe(false);
  const read: string[] = [];
  const watched: LogPort = { ...log, read: (input) => (read.push(input.runId), log.read(input)) };
  expect(await sweep(atOnce, watched)).toMatchObject({ waitsLogged: 0 });
  expect(read).not.toContain(run.id);

  const second = await backInLine(run);
  const again = await aRecorder(second);
  await again.recorder.park(limited(60_000), defaultRunSettings);
  await beat(run);
  expect(await unlogged(run.id)).toBe(true);
  await beat(second);
  expect(await unlogged(run.id)).toBe(false);
});

test("a heartbeat does not wait for somebody who holds the row of a waiting run", async () => {
  const { run } = await aParkedRun();
  const decider = await database.owner.connect();
  await decider.query("begin");
  await decider.query("select from cortex.agent_runs where id = $1 for update", [run.id]);
  await beat(run);
  await decider.query("commit");
  decider.release();
  expect(await unlogged(run.id)).toBe(true);
  expect(await sweep()).toMatchObject({ waitsLogged: 1 });
  expect(typesOf(run.id).filter((type) => type === "run.waiting 1")).toHaveLength(1);
});

test("while the log cannot be reached the wait stays marked", async () => {
  const { place, run } = await aSilentlyParkedRun();
  const away: LogPort = { ...log, read: () => Promise.reject(new Error("away")) };
  expect(await sweep(atOnce, away)).toMatchObject({ waitsLogged: 0 });
  expect(await unlogged(run.id)).toBe(true);
  expect(await sweep()).toMatchObject({ waitsLogged: 1 });
  await expectExactLog(run.id, place.accountId);
});

test("a run that has gone on meanwhile is left to the attempt that holds it", async () => {
  const { place, run } = await aSilentlyParkedRun();
  const next = await backInLine(run);
  await logWait({ db: worker.db, log: silentLogger(), eventLog: log }, run);
  expect(typesOf(run.id)).toHaveLength(3);
  await openLog({ db: worker.db, log }, next);
  await expectExactLog(run.id, place.accountId);
});

test.each(["its worker", "the next attempt"])("%s says it at the same moment: the log has it once", async (who) => {
  const { place, run } = await aSilentlyParkedRun();
  let overtaken = false;
  const overtaking: LogPort = {
    ...log,
    append: async (input) => {
      if (!overtaken) {
        overtaken = true;
        if (who === "its worker") await log.append(input);
        else await openLog({ db: worker.db, log }, await backInLine(run));
      }
      return log.append(input);
    },
  };
  expect(await sweep(atOnce, overtaking)).toMatchObject({ waitsLogged: 1 });
  expect(overtaken).toBe(true);
  await expectExactLog(run.id, place.accountId);
});
