import type { Logger } from "@cortex/observability";
import { Redis } from "ioredis";

/** One line in this time says that Redis is away; ioredis reports every attempt to connect. */
const quietMs = 10_000;

/**
 * A connection for the commands of this room. Bounded in every direction: a black hole is noticed after `socketTimeout`, a command fails
 * after `commandTimeout` (< socketTimeout, so that the caller hears first), and waits for one reconnection at most.
 */
export const connectRedis = (input: { url: string; name: string; log: Logger }): Redis => {
  const redis = new Redis(input.url, {
    connectionName: input.name,
    connectTimeout: 3_000,
    commandTimeout: 2_000,
    socketTimeout: 5_000,
    keepAlive: 10_000,
    maxRetriesPerRequest: 1,
    retryStrategy: (times) => Math.min(25 * 2 ** times, 1_000),
  });
  let quietUntil = -Infinity;
  redis.on("error", (error: Error) => {
    const now = performance.now();
    if (now < quietUntil) return;
    quietUntil = now + quietMs;
    input.log.warn({ err: error, connection: input.name }, "Redis is away");
  });
  return redis;
};
