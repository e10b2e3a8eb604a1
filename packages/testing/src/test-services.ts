import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, rmSync, statfsSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { type RolePasswords } from "@cortex/db";
import { obtainRedisProgram, startPostgres, startRedis, startWatchdog } from "@cortex/local-stack";
import { quietPort } from "./quiet-port.ts";
import { buildTemplate } from "./template.ts";

/** What the test processes are told (by vitest's `provide`): plain data. */
export type TestServices = {
  /** superuser, database `postgres` */
  postgresUrl: string;
  /** a migrated database that nobody connects to, cloned for each test file */
  templateName: string;
  rolePasswords: RolePasswords;
  redisUrl: string;
  /** the Redis program, for tests that want a server of their own */
  redisProgram: { path: string; version: string; env: Record<string, string> };
  /** for files that a test's own servers need; goes with the suite */
  folder: string;
};

/** A cluster of 40 MB, a clone of 10 MB for each test file, Redis' log. 1 GB > their sum. */
const ROOM_BYTES = 1024 ** 3;

/** Memory instead of disk where there is room: containers often give /dev/shm only 64 MB. */
function suiteFolder(): string {
  const shm = "/dev/shm";
  let base = tmpdir();
  if (existsSync(shm)) {
    const { bavail, bsize } = statfsSync(shm);
    if (bavail * bsize > ROOM_BYTES) base = shm;
  }
  const folder = mkdtempSync(join(base, "cortex-test-"));
  chmodSync(folder, 0o755); // root's Postgres runs as `nobody`, who must get in
  return folder;
}

/**
 * One private Postgres (with the migrated template database) and one private Redis, on free ports in a temporary
 * folder. A watchdog ends both and removes the folder, however this process ends.
 */
export async function startTestServices(): Promise<{ services: TestServices; close: () => Promise<void> }> {
  const folder = suiteFolder();
  const watchdog = startWatchdog({ removeAtEnd: [folder] });
  const stops: (() => Promise<void>)[] = [];
  const close = async (): Promise<void> => {
    for (const stop of stops.reverse()) await stop();
    rmSync(folder, { recursive: true, force: true });
    await watchdog.close();
  };
  try {
    const program = obtainRedisProgram({
      environment: process.env,
      cacheDir: join(homedir(), ".cache", "cortex", "redis"),
      say: (line) => void process.stderr.write(`${line}\n`),
    });
    const [postgres, redis] = await Promise.all([
      startTestPostgres(folder, (pid) => watchdog.watch({ pid, signal: "SIGQUIT", stage: "store" })),
      startTestRedis(
        folder,
        () => program,
        (pid) => watchdog.watch({ pid, signal: "SIGKILL", stage: "store" }),
      ),
    ]);
    stops.push(postgres.stop, redis.stop);
    const rolePasswords = {
      cortex_api: randomBytes(18).toString("hex"),
      cortex_worker: randomBytes(18).toString("hex"),
    };
    const templateName = await buildTemplate({ postgresUrl: postgres.url, rolePasswords });
    const services = {
      postgresUrl: postgres.url,
      templateName,
      rolePasswords,
      redisUrl: redis.url,
      redisProgram: await program,
      folder,
    };
    return { services, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startTestPostgres(folder: string, onSpawn: (pid: number) => void) {
  return startPostgres({
    dataDir: join(folder, "postgres"),
    port: await quietPort(),
    passwordFile: join(folder, "secrets", "postgres"),
    logFile: join(folder, "postgres.log"),
    // room for a pool in each of many small services under test
    settings: { max_connections: "400" },
    onSpawn,
  });
}

async function startTestRedis(
  folder: string,
  program: Parameters<typeof startRedis>[1],
  onSpawn: (pid: number) => void,
) {
  return startRedis(
    {
      dir: join(folder, "redis"),
      port: await quietPort(),
      passwordFile: join(folder, "secrets", "redis"),
      logFile: join(folder, "redis.log"),
      // one logical database for each test file, see redis.ts
      settings: { databases: "4096" },
      onSpawn,
    },
    program,
  );
}
