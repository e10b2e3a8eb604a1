import type { Logger } from "@cortex/observability";
import { Redis, type RedisOptions } from "ioredis";

/** One line of log per this time and connection: a Redis that is away reports an error with every attempt to reach it. */
const complainEveryMs = 10_000;

/** Logs the first error, then one line per ten seconds that says how many more there were. */
export const complainSeldom = (log: Logger, what: string): ((error: Error) => void) => {
  let last = -Infinity;
  let unsaid = 0;
  return (error) => {
    const now = performance.now();
    if (now - last < complainEveryMs) {
      unsaid += 1;
      return;
    }
    log.warn({ err: error, connection: what, more: unsaid }, "trouble with Redis");
    last = now;
    unsaid = 0;
  };
};

/** A connection whose errors are heard, so that none of them ends the process. */
export const connect = (
  url: string,
  options: Omit<RedisOptions, "replyMapping">,
  listeners: { log: Logger; name: string },
): Redis => {
  const redis = new Redis(url, {
    keepAlive: 10_000,
    connectTimeout: 3_000,
    connectionName: listeners.name,
    ...options,
  });
  redis.on("error", complainSeldom(listeners.log, listeners.name));
  return redis;
};

/** Between two attempts to reconnect: soon at first, two seconds at most, so that work goes on within that time of Redis' return. */
export const reconnectDelay = (attempt: number): number => Math.min(50 * 2 ** Math.min(attempt, 10), 2_000);
