import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { assertPortFree } from "../ports.ts";
import { endProcess, isAlive } from "../process/liveness.ts";
import { secretFile } from "../secret-file.ts";
import { StackError } from "../stack-error.ts";
import type { RedisProgram } from "./find-program.ts";
import { probeRedis } from "./probe.ts";

export type RedisServer = {
  url: string;
  port: number;
  pid: number;
  /** an earlier process started it; `stop` ends it all the same */
  adopted: boolean;
  /** saves (AOF flushed) and ends; forced after 3 s */
  stop: () => Promise<void>;
};

export type RedisOptions = {
  dir: string;
  port: number;
  /** the password lives here (0600), made at the first start */
  passwordFile: string;
  logFile: string;
  /** more lines for redis.conf */
  settings?: Record<string, string>;
  /** told as soon as there is a process to end, before it is ready: for a watchdog */
  onSpawn?: (pid: number) => void;
};

/** Loading an AOF of 1 GB takes about 10 s. 60 s > that, on a slow disk too. */
const READY_TIMEOUT_MS = 60_000;

/**
 * A Redis of our own on 127.0.0.1, with a password, append-only file and no eviction (BullMQ loses jobs otherwise).
 * Adopts one that an earlier process left behind on this folder. `program` is asked for only when one must be started.
 * Errors: `StackError` (`port_taken`, `data_folder`, `start_failed`), and those of `program`.
 */
export async function startRedis(options: RedisOptions, program: () => Promise<RedisProgram>): Promise<RedisServer> {
  const dir = prepareFolder(options);
  const password = secretFile(options.passwordFile);
  const running = await probeRedis({ host: "127.0.0.1", port: options.port, password });
  if (running.kind === "redis" && running.dir === dir) {
    await untilLoaded(options, password);
    return handle({ port: options.port, password, pid: running.pid, adopted: true });
  }
  await assertPortFree(options.port, "REDIS_PORT", "Redis");
  const found = await program();
  const pid = launch(options, found, writeConfig(options, dir, password));
  await untilReady(options, pid, password);
  return handle({ port: options.port, password, pid, adopted: false });
}

function handle(input: { port: number; password: string; pid: number; adopted: boolean }): RedisServer {
  const { port, pid, adopted } = input;
  const stop = async (): Promise<void> => {
    const steps = [
      { signal: "SIGTERM", waitMs: 3_000 },
      { signal: "SIGKILL", waitMs: 1_000 },
    ] as const;
    if (!(await endProcess(pid, [...steps]))) {
      throw new StackError("start_failed", `Redis (process ${pid}) did not stop: end it with kill -9 ${pid}.`);
    }
  };
  return { url: `redis://:${input.password}@127.0.0.1:${port}`, port, pid, adopted, stop };
}

function prepareFolder(options: RedisOptions): string {
  try {
    mkdirSync(options.dir, { recursive: true, mode: 0o700 });
    mkdirSync(dirname(options.logFile), { recursive: true });
    return realpathSync(options.dir);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StackError(
      "data_folder",
      `The data folder ${options.dir} cannot be written (${why}): give this user the right to, or set CORTEX_HOME to another folder.`,
      { cause: error },
    );
  }
}

/** In a file and not in arguments: `ps` would show the password to everybody. */
function writeConfig(options: RedisOptions, dir: string, password: string): string {
  const settings = {
    bind: "127.0.0.1",
    port: String(options.port),
    dir: `"${dir}"`,
    // at most one second of the live log is lost in a crash, and rebuilt from Postgres
    appendonly: "yes",
    appendfsync: "everysec",
    save: '""',
    "maxmemory-policy": "noeviction",
    requirepass: password,
    daemonize: "no",
    ...options.settings,
  };
  const file = join(dir, "redis.conf");
  writeFileSync(
    file,
    Object.entries(settings)
      .map(([name, value]) => `${name} ${value}\n`)
      .join(""),
    { mode: 0o600 },
  );
  return file;
}

function launch(options: RedisOptions, program: RedisProgram, config: string): number {
  const log = openSync(options.logFile, "a", 0o600);
  // own process group: Ctrl-C at the terminal reaches us first, and we stop things in order
  const child = spawn(program.path, [config], {
    env: { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC", ...program.env },
    cwd: "/",
    stdio: ["ignore", log, log],
    detached: true,
  });
  closeSync(log);
  child.unref();
  child.once("error", () => {}); // no process id: said below
  if (child.pid === undefined) throw new StackError("start_failed", `${program.path} could not be executed.`);
  options.onSpawn?.(child.pid);
  return child.pid;
}

async function untilReady(options: RedisOptions, pid: number, password: string): Promise<void> {
  const end = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < end) {
    const answer = await probeRedis({ host: "127.0.0.1", port: options.port, password });
    if (answer.kind === "redis" && answer.pid === pid && !answer.loading) return;
    if (!isAlive(pid)) {
      const last = readFileSync(options.logFile, "utf8").trim().split("\n").slice(-3).join(" / ");
      throw new StackError(
        "start_failed",
        `Redis did not start on ${options.dir} (${last}): see ${options.logFile}; removing the folder starts with an empty Redis, runs are rebuilt from the database.`,
      );
    }
    await delay(5);
  }
  await endProcess(pid, [{ signal: "SIGKILL", waitMs: 1_000 }]);
  throw new StackError(
    "start_failed",
    `Redis did not get ready within ${READY_TIMEOUT_MS / 1000} s: see ${options.logFile}.`,
  );
}

async function untilLoaded(options: RedisOptions, password: string): Promise<void> {
  const end = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < end) {
    const answer = await probeRedis({ host: "127.0.0.1", port: options.port, password });
    if (answer.kind === "redis" && !answer.loading) return;
    await delay(50);
  }
  throw new StackError(
    "start_failed",
    `The Redis on port ${options.port} does not finish loading: see ${options.logFile}.`,
  );
}
