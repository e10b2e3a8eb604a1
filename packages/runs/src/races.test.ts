import { afterAll, expect, test } from "vitest";
import { FencedError } from "./run.ts";
import { stopRun } from "./stop-run.ts";
import { answered, nothingElse } from "./testing/engine-script.ts";
import { createRunFixture } from "./testing/run-fixture.ts";

const fixture = await createRunFixture();
const { api, aClaimedRun, claim, aRecorder, one, expectExactLog, loseWorker, post } = fixture;
afterAll(() => fixture.close());

const stopDeps = { db: api.db, announceStop: () => undefined, closeLog: () => undefined };

test("stops, posts and a lost lease that race the end of a run leave one end, and log and rows agree", async () => {
  const race = async (n: number) => {
    const { place, run } = await aClaimedRun();
    const { recorder } = await aRecorder(run);
    await recorder.record({ type: "step.started", step: 0, model: "demo" });
    await recorder.record(answered(0, "the answer"));
    const [ended] = await Promise.allSettled([
      recorder.finish({ kind: "completed", ...nothingElse }),
      stopRun(stopDeps, { runId: run.id, userId: place.userId, accountId: null }),
      ...(n % 2 === 0 ? [post(place, "wait")] : []),
      ...(n % 3 === 0 ? [loseWorker(run.id).then(() => claim(run.id))] : []),
    ]);
    const row = await one<{ status: string; terminal_writes: number }>(
      "select status, terminal_writes from cortex.agent_runs where id = $1",
      [run.id],
    );
    const completed = ended.status === "fulfilled" && ended.value.kind === "ended";
    // Or else somebody posted, or a successor has the run: it goes on, and nobody has ended it.
    expect(row).toMatchObject({ status: completed ? "completed" : "running", terminal_writes: completed ? 1 : 0 });
    if (completed) await expectExactLog(run.id, place.accountId);
    return ended.status === "rejected" ? [ended.reason as unknown] : [];
  };
  const failures = await Promise.all(Array.from({ length: 36 }, (_, n) => race(n)));
  for (const failure of failures.flat()) expect(failure).toBeInstanceOf(FencedError);
});
