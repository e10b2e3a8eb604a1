import { randomBytes } from "node:crypto";
import { homedir } from "node:os";
import { join } from "node:path";
import { endProcess, obtainRedisProgram, startPostgres, startRedis } from "@cortex/local-stack";
import { buildTemplate, quietPort, urlOf } from "@cortex/testing";

/** A Postgres of one's own, migrated and seeded. Its address stays over restarts. */
export interface FleetPostgres {
  port: number;
  /** superuser */
  ownerUrl: string;
  /** as `cortex_api` */
  apiUrl: string;
  /** as `cortex_worker` */
  workerUrl: string;
  /** Immediate mode: every connection breaks, nothing is flushed, recovery at the next start. */
  crash(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** A Redis of one's own, as shipped (AOF, no eviction). Its address stays over restarts. */
export interface FleetRedis {
  port: number;
  url: string;
  pid(): number;
  /** kill -9 */
  kill(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

interface Deps {
  folder: string;
  watch: (pid: number, signal: "SIGQUIT" | "SIGKILL") => void;
}

export const startFleetPostgres = async ({ folder, watch }: Deps): Promise<FleetPostgres> => {
  const options = {
    dataDir: join(folder, "postgres"),
    port: await quietPort(),
    passwordFile: join(folder, "secrets/postgres"),
    logFile: join(folder, "postgres.log"),
    settings: { max_connections: "300" },
    onSpawn: (pid: number) => watch(pid, "SIGQUIT"),
  };
  let server = await startPostgres(options);
  const rolePasswords = {
    cortex_api: randomBytes(18).toString("hex"),
    cortex_worker: randomBytes(18).toString("hex"),
  };
  const database = await buildTemplate({ postgresUrl: server.url, rolePasswords });
  const as = (user: "cortex_api" | "cortex_worker") =>
    urlOf(server.url, { database, user, password: rolePasswords[user] });
  return {
    port: options.port,
    ownerUrl: urlOf(server.url, { database }),
    apiUrl: as("cortex_api"),
    workerUrl: as("cortex_worker"),
    crash: async () => {
      await endProcess(server.pid, [{ signal: "SIGQUIT", waitMs: 10_000 }]);
    },
    start: async () => {
      server = await startPostgres(options);
    },
    stop: () => server.stop(),
  };
};

export const startFleetRedis = async ({ folder, watch }: Deps): Promise<FleetRedis> => {
  const program = await obtainRedisProgram({
    environment: process.env,
    cacheDir: join(homedir(), ".cache", "cortex", "redis"),
    say: (line) => void process.stderr.write(`${line}\n`),
  });
  const options = {
    dir: join(folder, "redis"),
    port: await quietPort(),
    passwordFile: join(folder, "secrets/redis"),
    logFile: join(folder, "redis.log"),
    onSpawn: (pid: number) => watch(pid, "SIGKILL"),
  };
  const launch = () => startRedis(options, async () => program);
  let server = await launch();
  return {
    port: options.port,
    url: server.url,
    pid: () => server.pid,
    kill: async () => {
      await endProcess(server.pid, [{ signal: "SIGKILL", waitMs: 5_000 }]);
    },
    start: async () => {
      server = await launch();
    },
    stop: () => server.stop(),
  };
};
