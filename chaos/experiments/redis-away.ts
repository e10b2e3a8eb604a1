import { eventually } from "@cortex/testing";
import { startFleet } from "../fleet/fleet.ts";
import { pause } from "../load/pause.ts";
import { atLeast, atMost, exactly, type Experiment } from "./experiment.ts";

/** How long Redis is away, and between two starts. Milliseconds. */
const awayMs = 30_000;
const everyMs = 400;

/** Starts while Redis is away are answered as ever, and their runs begin soon after its return. */
export const redisAway: Experiment = {
  name: "redis-away",
  about: "Redis is down for 30 s while runs are started",
  run: async () => {
    const fleet = await startFleet({ apis: 1, workers: 2 });
    try {
      const person = await fleet.person();
      const client = fleet.client(person);
      const threads: string[] = [];
      while (threads.length < awayMs / everyMs) threads.push((await client.createThread({})).id);
      const url = `http://127.0.0.1:${fleet.apis[0]?.port ?? 0}/api/thread`;
      /** Without the client's retries: what one request gets. */
      const start = async (thread: string) => {
        const askedAt = performance.now();
        const response = await fetch(`${url}/${thread}/agent/start`, {
          method: "POST",
          headers: { authorization: `Bearer ${person.token}`, "content-type": "application/json" },
          body: JSON.stringify({ prompt: "[[tokens=5]]" }),
        });
        await response.body?.cancel();
        return { status: response.status, ms: performance.now() - askedAt };
      };
      // Compiled and connected before it counts.
      for (const thread of threads.splice(0, 5)) await start(thread);
      const answers: { status: number; ms: number }[] = [];
      await fleet.redis.kill();
      for (const thread of threads) {
        const answer = await start(thread);
        answers.push(answer);
        await pause(everyMs - answer.ms);
      }
      await fleet.redis.start();
      const backAt = performance.now();
      const unbegun = "select count(*)::int as n from cortex.agent_runs where started_at is null";
      await eventually(async () => (await fleet.ask<{ n: number }>(unbegun))[0]?.n === 0, { timeoutMs: 60_000 });
      const begunMs = performance.now() - backAt;
      const left = "select count(*)::int as n from cortex.agent_runs where status <> 'completed'";
      await eventually(async () => (await fleet.ask<{ n: number }>(left))[0]?.n === 0, { timeoutMs: 60_000 });
      return {
        text: "redis-away",
        bars: [
          atLeast("starts", answers.length, 50),
          exactly("answers other than 202", answers.filter(({ status }) => status !== 202).length, 0),
          atMost("slowest answer", Math.max(...answers.map(({ ms }) => ms)), 300, " ms"),
          atMost("all picked up after its return", begunMs / 1_000, 10, " s"),
        ],
        violations: [],
        history: null,
      };
    } finally {
      await fleet.close();
    }
  },
};
