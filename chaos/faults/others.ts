import { isTerminal } from "@cortex/contracts";
import { Redis } from "ioredis";
import { pause } from "../load/pause.ts";
import type { Nemesis } from "./nemesis.ts";

/** SIGKILL of an API with whatever it is answering; it is started again at once. */
export const killApis = (everyMs: number, times = Infinity): Nemesis => ({
  kind: "api killed",
  everyMs,
  times,
  act: async (world, random) => {
    const api = random.pick(world.fleet.apis);
    // One stays: a client that finds nobody learns nothing that one which was cut off does not.
    if (!api || world.fleet.apis.some((one) => one.pid() === null)) return null;
    await api.kill();
    world.revive(api);
    return api.name;
  },
});

/** kill -9 of Redis, and its return. The AOF is written every second, so the last second may be gone. */
export const killRedis = (everyMs: number, forMs: number, times = Infinity): Nemesis => ({
  kind: "redis killed",
  everyMs,
  times,
  act: async ({ fleet, signal }) => {
    await fleet.redis.kill();
    await pause(forMs, signal);
    await fleet.redis.start();
    return `for ${forMs} ms`;
  },
});

/** Everything in Redis is gone: queue, logs, all of it. */
export const flushRedis = (everyMs: number, times = Infinity): Nemesis => ({
  kind: "redis flushed",
  everyMs,
  times,
  act: async ({ fleet }) => {
    const redis = new Redis(fleet.redis.url);
    redis.on("error", () => {}); // somebody else has killed it: the command waits until it is back
    try {
      const keys = await redis.dbsize();
      await redis.flushall();
      return keys === 0 ? null : `${keys} keys`;
    } finally {
      redis.disconnect();
    }
  },
});

/** Postgres ends in immediate mode and recovers: every connection breaks, every open transaction is gone. */
export const crashPostgres = (everyMs: number, times = Infinity): Nemesis => ({
  kind: "postgres crashed",
  everyMs,
  times,
  act: async ({ fleet }) => {
    const startedAt = performance.now();
    await fleet.postgres.crash();
    await fleet.postgres.start();
    return `back after ${Math.round(performance.now() - startedAt)} ms`;
  },
});

/** Resets about half of the clients' connections to one API. */
export const cutClients = (everyMs: number, times = Infinity): Nemesis => ({
  kind: "clients cut",
  everyMs,
  times,
  act: async ({ fleet }, random) => {
    const cut = random.pick(fleet.apis)?.line.cut(() => random.next() < 0.5) ?? 0;
    return cut === 0 ? null : `${cut} connections`;
  },
});

/** Asks for the end of a run that has not ended, at whatever it is doing. */
export const stopRuns = (everyMs: number, times = Infinity): Nemesis => ({
  kind: "run stopped",
  everyMs,
  times,
  act: async (world, random) => {
    const known = new Set(world.stops.map(({ runId }) => runId));
    const sql = "select id, status from cortex.agent_runs where status in ('queued', 'running', 'waiting') order by id";
    const active = (await world.fleet.ask<{ id: string; status: string }>(sql)).filter(({ id }) => !known.has(id));
    const run = random.pick(active);
    if (!run) return null;
    const answer = await world.client.stopRun(run.id);
    world.stops.push({ runId: run.id, status: answer.status, at: world.now() });
    return isTerminal(answer.status) ? `${run.id}, which had ended` : `${run.id}, ${run.status}`;
  },
});
