import { join } from "node:path";
import type { RunEvent } from "@cortex/contracts";
import { createTestFolder, eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Fleet, startFleet } from "./fleet.ts";
import { quickTimers } from "./timers.ts";

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet({ folder: createTestFolder(), timers: quickTimers });
}, 120_000);
afterAll(() => fleet.close());

test("a fleet of real processes: a run outlives its worker, its API and both stores", async () => {
  const client = fleet.client(await fleet.person());
  const thread = await client.createThread({});
  const prompt = '[[delay=20]][[tokens=100]][[tool=calculator {"expression":"5 + 10"}]]';
  const { agent_run_id: runId } = await client.startRun(thread.id, { prompt });
  const holder = await eventually(
    async () => {
      const sql = "select worker_id from cortex.agent_runs where id = $1 and attempt = 1 and status = 'running'";
      const [row] = await fleet.ask<{ worker_id: string }>(sql, [runId]);
      return fleet.workers.find((worker) => worker.id() === row?.worker_id);
    },
    { timeoutMs: 10_000 },
  );
  expect(await holder.kill()).toBe(true);
  expect(holder.pid()).toBeNull();
  await Promise.all([fleet.redis.kill(), fleet.postgres.crash(), fleet.apis[0]?.kill()]);
  await Promise.all([fleet.redis.start(), fleet.postgres.start()]);
  await Promise.all([holder.start(), fleet.apis[0]?.start()]);
  const events = await Array.fromAsync(client.followRun(runId));
  expect(events.at(-1)?.type).toBe("run.completed");
  const [run] = await fleet.ask<{ attempt: number }>(
    "select status, attempt, terminal_writes from cortex.agent_runs where id = $1",
    [runId],
  );
  expect(run).toMatchObject({ status: "completed", terminal_writes: 1 });
  // Two claims, and one more for the end.
  expect(run?.attempt).toBeGreaterThanOrEqual(3);
  expect(holder.lives()).toBe(2);
  expect(holder.output("all")).not.toBe(holder.output());
}, 120_000);

/** A run with one call that a person has to decide about, and somebody who follows it and approves when the stream says so. */
const askAndApprove = async () => {
  const client = fleet.client(await fleet.person());
  await client.updateTool("create_file", { approval: "always" });
  const thread = await client.createThread({});
  const prompt = '[[tool=create_file {"path":"a.txt","content":"of the model"}]] [[say=done]]';
  const { agent_run_id: runId } = await client.startRun(thread.id, { prompt });
  const heard: RunEvent[] = [];
  const following = (async () => {
    for await (const event of client.followRun(runId)) {
      heard.push(event);
      if (event.type !== "run.waiting") continue;
      const shown = await client.getRun(runId);
      expect(shown).toMatchObject({ status: "waiting", queue: { reason: "approval" }, approvals: event.approvals });
      const [asked] = shown.approvals;
      if (!asked) throw new Error("a run waits, and nobody is asked");
      const answer = await client.decideApproval(runId, asked.tool_call_id, {
        decision: "approve",
        digest: asked.digest,
      });
      expect(answer).toMatchObject({ decision: "approve", status: "queued", open_approvals: 0 });
    }
  })();
  // Looked at when it has ended, whatever comes before.
  following.catch(() => undefined);
  return { client, runId, heard, following };
};

/** Of one log, with the events that a wait is about. */
const storyOf = (heard: readonly RunEvent[]) => {
  const told = ["run.waiting", "run.resumed", "tool_call.started", "tool_call.completed", "run.completed", "resync"];
  return heard
    .map(({ type, attempt }) => `${type} ${attempt}`)
    .filter((entry) => told.includes(entry.split(" ")[0] ?? ""));
};
const decidedAndDone = [
  ...["run.waiting 1", "run.resumed 2", "tool_call.started 2", "tool_call.completed 2", "run.completed 2"],
];

test("a run asks a person, through one process and the other, and goes on when they have decided", async () => {
  const { client, runId, heard, following } = await askAndApprove();
  await following;
  expect(storyOf(heard)).toEqual(decidedAndDone);
  expect(await client.getRun(runId)).toMatchObject({ status: "completed", approvals: [] });
}, 60_000);

test("a worker dies before its run's log says that it waits: whoever follows hears of it soon, and not when it is over", async () => {
  const [first, second] = fleet.workers;
  if (!first || !second) throw new Error("a fleet has two workers");
  await Promise.all([first.kill(), second.kill()]);
  await first.start({ FAILPOINTS: "park.after_commit=crash", FAILPOINTS_FILE: join(fleet.folder, "hits") });
  const { runId, heard, following } = await askAndApprove();
  await first.ended();
  const [run] = await fleet.ask("select status from cortex.agent_runs where id = $1", [runId]);
  expect(run).toEqual({ status: "waiting" });
  await Promise.all([first.start(), second.start()]);
  expect(storyOf(heard)).toEqual([]);
  await following;
  expect(storyOf(heard)).toEqual(decidedAndDone);
}, 120_000);
