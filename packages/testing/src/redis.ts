import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { type RedisServer, endProcess, startRedis } from "@cortex/local-stack";
import { Redis } from "ioredis";
import { inject } from "vitest";
import { quietPort } from "./quiet-port.ts";

export type TestRedis = {
  url: string;
  /** every key with what it holds, for before and after */
  contents(): Promise<Map<string, string>>;
  /** empties it and lets it go */
  drop(): Promise<void>;
};

/** A Redis server that a test may flush, kill and restart. The address stays, and the data as far as the AOF got. */
export type OwnRedis = TestRedis & {
  stop(): Promise<void>;
  /** kill -9 */
  kill(): Promise<void>;
  start(): Promise<void>;
  restart(): Promise<void>;
};

/**
 * An empty logical database of the suite's Redis (channels of pub/sub are shared between databases: name them by ids),
 * or, with `own`, a server of one's own.
 */
export function createTestRedis(): Promise<TestRedis>;
export function createTestRedis(options: { own: true }): Promise<OwnRedis>;
export function createTestRedis(options?: { own: true }): Promise<TestRedis | OwnRedis> {
  return options?.own ? ownServer() : logicalDatabase();
}

async function withRedis<Result>(url: string, work: (redis: Redis) => Promise<Result>): Promise<Result> {
  const redis = new Redis(url);
  try {
    return await work(redis);
  } finally {
    redis.disconnect();
  }
}

const contentsOf = (url: string): Promise<Map<string, string>> =>
  withRedis(url, async (redis) => {
    const keys = (await redis.keys("*")).toSorted();
    const held = await Promise.all(keys.map((key) => redis.dumpBuffer(key)));
    return new Map(keys.map((key, index) => [key, held[index]?.toString("hex") ?? ""]));
  });

async function logicalDatabase(): Promise<TestRedis> {
  const { redisUrl } = inject("services");
  const number = await withRedis(redisUrl, (redis) => redis.incr("test-databases"));
  const url = `${redisUrl}/${number}`;
  const drop = (): Promise<void> =>
    withRedis(url, async (redis) => {
      await redis.flushdb();
    });
  return { url, contents: () => contentsOf(url), drop };
}

async function ownServer(): Promise<OwnRedis> {
  const { folder, redisProgram } = inject("services");
  const home = join(folder, `redis-${randomBytes(6).toString("hex")}`);
  const options = {
    dir: join(home, "data"),
    port: await quietPort(),
    passwordFile: join(home, "secrets/redis"),
    logFile: join(home, "redis.log"),
  };
  const launch = (): Promise<RedisServer> => startRedis(options, async () => redisProgram);
  let server = await launch();
  const stop = (): Promise<void> => server.stop();
  const start = async (): Promise<void> => {
    server = await launch();
  };
  return {
    url: server.url,
    contents: () => contentsOf(server.url),
    drop: stop,
    stop,
    start,
    kill: async () => {
      await endProcess(server.pid, [{ signal: "SIGKILL", waitMs: 5_000 }]);
    },
    restart: async () => {
      await stop();
      await start();
    },
  };
}
