import { type RunEvent, RunEvent as RunEventSchema } from "@cortex/contracts";
import { silentLogger } from "@cortex/observability";
import { createFaultProxy, createTestRedis, type FaultProxy } from "@cortex/testing";
import { Redis, type RedisOptions } from "ioredis";
import type { Clock } from "../clock.ts";
import { createEventLog, type EventLog } from "../event-log.ts";
import { logKeys } from "../keys.ts";
import { createLogWriter, defaultLogWriterSettings, type LogWriter, type LogWriterSettings } from "../log-writer.ts";
import { identity, type StoredRun } from "./sample-events.ts";

interface WriterOptions {
  log?: EventLog;
  clock?: Clock;
  settings?: Partial<LogWriterSettings>;
  length?: number;
  attempt?: number;
  /** Redis was away when it began. */
  behind?: true;
}

/** Real logs for a test file, and a network that can be broken. */
export const openLogFixture = async () => {
  const service = await createTestRedis();
  const redis = new Redis(service.url);
  const log = createEventLog(redis);
  const proxies: FaultProxy[] = [];
  const clients: Redis[] = [];

  const entriesOf = async (run: { runId: string }): Promise<RunEvent[]> =>
    (await redis.lrange(logKeys(run.runId).list, 0, -1)).map((entry) => RunEventSchema.parse(JSON.parse(entry)));

  return {
    redis,
    log,
    url: service.url,
    entriesOf,

    /** Each entry in a word or two: `delta abc`, `step.started 1`. */
    storyOf: async (run: { runId: string }): Promise<string[]> =>
      (await entriesOf(run)).map((entry) =>
        entry.type === "message.delta" ? `delta ${entry.text}` : identity(entry).slice(0, 24).trim(),
      ),

    lose: async (run: { runId: string }): Promise<void> => {
      const { list, meta } = logKeys(run.runId);
      await redis.del(list, meta);
    },

    writerOf: (run: StoredRun, options: WriterOptions = {}): LogWriter => {
      const clock = options.clock && { clock: options.clock };
      return createLogWriter(
        { log: options.log ?? log, recover: run.recover, identity, logger: silentLogger(), ...clock },
        {
          runId: run.runId,
          attempt: options.attempt ?? 1,
          ...(options.behind ? { behind: true } : { epoch: 1, length: options.length ?? run.stored.length }),
        },
        { ...defaultLogWriterSettings, ...options.settings },
      );
    },

    /** The same logs through a proxy. */
    brokenLog: async (options: Omit<RedisOptions, "replyMapping"> = {}) => {
      const { hostname, port } = new URL(service.url);
      const proxy = await createFaultProxy({ host: hostname, port: Number(port) });
      const client = new Redis(proxy.through(service.url), {
        retryStrategy: () => 10,
        commandTimeout: 300,
        ...options,
      });
      client.on("error", () => null);
      proxies.push(proxy);
      clients.push(client);
      return { proxy, client, log: createEventLog(client) };
    },

    close: async (): Promise<void> => {
      for (const client of [redis, ...clients]) client.disconnect();
      for (const proxy of proxies) await proxy.close();
      await service.drop();
    },
  };
};

export type LogFixture = Awaited<ReturnType<typeof openLogFixture>>;
