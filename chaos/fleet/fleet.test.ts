import { createTestFolder, eventually } from "@cortex/testing";
import { expect, test } from "vitest";
import { startFleet } from "./fleet.ts";
import { quickTimers } from "./timers.ts";

test("a fleet of real processes: a run outlives its worker, its API and both stores", async () => {
  const fleet = await startFleet({ folder: createTestFolder(), timers: quickTimers });
  try {
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
      "select status, attempt, terminal_writes from cortex.agent_runs",
    );
    expect(run).toMatchObject({ status: "completed", terminal_writes: 1 });
    // Two claims, and one more for the end.
    expect(run?.attempt).toBeGreaterThanOrEqual(3);
    expect(holder.lives()).toBe(2);
    expect(holder.output("all")).not.toBe(holder.output());
  } finally {
    await fleet.close();
  }
}, 120_000);
