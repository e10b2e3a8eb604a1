import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isAlive } from "../process/liveness.ts";
import { startPostgres } from "../postgres/server.ts";
import { checkExistingRedis } from "../redis/existing.ts";
import { obtainRedisProgram } from "../redis/obtain-program.ts";
import { startRedis } from "../redis/server.ts";
import type { StackSettings } from "../settings.ts";
import type { Progress } from "../terminal/progress.ts";
import { allSettledOrThrow, type Closers } from "./closers.ts";
import type { Home } from "./open-home.ts";

/** Where the data is. */
export type Stores = { databaseUrl: string; redisUrl: string };

export type StoreDeps = {
  settings: StackSettings;
  environment: Record<string, string | undefined>;
  home: Home;
  progress: Progress;
  closers: Closers;
  signal: AbortSignal;
};

/** A crash is seen within a second; the applications' pools try longer than that to connect. */
const WATCH_INTERVAL_MS = 1_000;

/** Opens Postgres and Redis, ours or those that exist already. Ours are started again when they end. */
export async function openStores(deps: StoreDeps): Promise<Stores> {
  const [databaseUrl, redisUrl] = await allSettledOrThrow<[string, string]>([openPostgres(deps), openRedis(deps)]);
  return { databaseUrl, redisUrl };
}

function openPostgres(deps: StoreDeps): Promise<string> {
  const { settings, home, progress } = deps;
  return progress.part("postgres", async (detail) => {
    if (settings.databaseUrl !== null) {
      detail(`${new URL(settings.databaseUrl).host} (DATABASE_URL)`);
      return settings.databaseUrl;
    }
    const start = () =>
      startPostgres({
        dataDir: join(home.folder, "postgres"),
        port: settings.ports.postgres,
        passwordFile: join(home.folder, "secrets/postgres"),
        logFile: join(home.logs, "postgres.log"),
        onSpawn: (pid) => home.roster.spawned({ name: "postgres", pid, stage: "store", signal: "SIGINT" }),
      });
    const server = await start();
    if (server.adopted) home.roster.spawned({ name: "postgres", pid: server.pid, stage: "store", signal: "SIGINT" });
    deps.closers.add(keepRunning("postgres", server, start, progress));
    detail(`127.0.0.1:${server.port}${server.adopted ? ", was still running" : ""}`);
    return server.url;
  });
}

function openRedis(deps: StoreDeps): Promise<string> {
  const { settings, home, progress } = deps;
  return progress.part("redis", async (detail) => {
    if (settings.redisUrl !== null) {
      const version = await checkExistingRedis(settings.redisUrl);
      detail(`${new URL(settings.redisUrl).host} (REDIS_URL), version ${version}`);
      return settings.redisUrl;
    }
    const program = () =>
      obtainRedisProgram({
        environment: deps.environment,
        cacheDir: join(home.folder, "cache/redis"),
        say: progress.note,
        signal: deps.signal,
      });
    const options = {
      dir: join(home.folder, "redis"),
      port: settings.ports.redis,
      passwordFile: join(home.folder, "secrets/redis"),
      logFile: join(home.logs, "redis.log"),
      onSpawn: (pid: number) => home.roster.spawned({ name: "redis", pid, stage: "store", signal: "SIGTERM" }),
    };
    const start = () => startRedis(options, program);
    const server = await start();
    if (server.adopted) options.onSpawn(server.pid);
    deps.closers.add(keepRunning("redis", server, start, progress));
    detail(`127.0.0.1:${server.port}${server.adopted ? ", was still running" : ""}`);
    return server.url;
  });
}

type Server = { pid: number; stop: () => Promise<void> };

/** Starts the server again when it is gone, and returns how to end it. Asked for by its id: an adopted one is not our child. */
function keepRunning(
  name: string,
  first: Server,
  start: () => Promise<Server>,
  progress: Progress,
): () => Promise<void> {
  let server = first;
  const stopping = new AbortController();
  const watch = async (): Promise<void> => {
    for (;;) {
      await delay(WATCH_INTERVAL_MS, undefined, { signal: stopping.signal, ref: false });
      if (isAlive(server.pid)) continue;
      progress.note(`${name} ended; starting it again`);
      try {
        server = await start();
      } catch (error) {
        progress.note(error instanceof Error ? error.message : String(error));
      }
    }
  };
  const watching = watch().catch(() => undefined); // only the abort ends it
  return async () => {
    stopping.abort();
    await watching;
    await server.stop();
  };
}
