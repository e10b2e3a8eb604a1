import { spawn } from "node:child_process";
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { assertPortFree } from "../ports.ts";
import { endProcess } from "../process/liveness.ts";
import { secretFile } from "../secret-file.ts";
import { StackError } from "../stack-error.ts";
import { postgresBinaries } from "./binaries.ts";
import { createCluster, inspectDataDir, resolveDataDir } from "./data-folder.ts";
import { clearStaleLock, readLock } from "./lock-file.ts";
import { chooseUser, type RunAs } from "./run-as.ts";

export type PostgresServer = {
  /** superuser, database `postgres` */
  url: string;
  port: number;
  pid: number;
  /** an earlier process started it; `stop` ends it all the same */
  adopted: boolean;
  dataDir: string;
  /** fast shutdown, data safe; 10–20 ms when idle. Immediate after 3 s, forced after 2 more. */
  stop: () => Promise<void>;
};

export type PostgresOptions = {
  dataDir: string;
  port: number;
  /** the superuser's password lives here (0600), made at the first start */
  passwordFile: string;
  logFile: string;
  /** more `-c name=value` settings */
  settings?: Record<string, string>;
  /** told as soon as there is a process to end, before it is ready: for a watchdog */
  onSpawn?: (pid: number) => void;
};

const SETTINGS = {
  // as shipped: an acknowledged commit survives a crash of the machine
  fsync: "on",
  synchronous_commit: "on",
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  max_connections: "200",
  shared_buffers: "128MB",
  TimeZone: "UTC",
  log_timezone: "UTC",
  lc_messages: "C",
};

/** Crash recovery replays at most max_wal_size (1 GB) of log: seconds. 60 s > that, on a slow disk too. */
const READY_TIMEOUT_MS = 60_000;
/** The backends of a killed server notice within a second that it is gone. 15 s > that. */
const LEFTOVER_TIMEOUT_MS = 15_000;

const STOP_STEPS = [
  { signal: "SIGINT", waitMs: 3_000 },
  { signal: "SIGQUIT", waitMs: 2_000 },
  { signal: "SIGKILL", waitMs: 1_000 },
] as const;

/**
 * A real PostgreSQL 17 on 127.0.0.1 from npm's binaries. Creates the cluster when the folder is empty, adopts a server
 * that an earlier process left behind on this folder, clears what a crash left. Errors: `StackError`
 * (`port_taken`, `data_folder`, `start_failed`, `unsupported_platform`).
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const as = chooseUser(options.dataDir);
  const { bin } = postgresBinaries(as);
  const dataDir = resolveDataDir(options.dataDir, as);
  const state = inspectDataDir(dataDir);
  if (state === "ready" && !existsSync(options.passwordFile)) {
    throw new StackError(
      "data_folder",
      `The password of the database in ${dataDir} is missing: restore ${options.passwordFile}, or remove the database's folder to start empty.`,
    );
  }
  const password = secretFile(options.passwordFile);
  mkdirSync(dirname(options.logFile), { recursive: true });

  const orphan = await settleLock(dataDir);
  if (orphan !== null) {
    if (orphan.port === options.port) return handle({ ...orphan, password, dataDir, adopted: true });
    await stopServer(orphan.pid);
  }
  if (state === "empty") {
    await createCluster({ initdb: join(bin, "initdb"), dataDir, as, password, env: serverEnv() });
  }
  assertOwned(dataDir, as);
  const pid = await launch({ options, bin, dataDir, as });
  return handle({ pid, port: options.port, password, dataDir, adopted: false });
}

function handle(input: {
  pid: number;
  port: number;
  password: string;
  dataDir: string;
  adopted: boolean;
}): PostgresServer {
  const { pid, port, dataDir, adopted } = input;
  const url = `postgresql://postgres:${input.password}@127.0.0.1:${port}/postgres`;
  return { url, port, pid, adopted, dataDir, stop: () => stopServer(pid) };
}

async function stopServer(pid: number): Promise<void> {
  if (!(await endProcess(pid, [...STOP_STEPS]))) {
    throw new StackError("start_failed", `PostgreSQL (process ${pid}) did not stop: end it with kill -9 ${pid}.`);
  }
}

/** A ready server that holds the folder, or null when the folder is free; waits for one that is starting or stopping. */
async function settleLock(dataDir: string): Promise<{ pid: number; port: number } | null> {
  const end = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const lock = readLock(dataDir);
    if (lock.kind === "free") return null;
    if (lock.kind === "stale") {
      await clearStaleLock(dataDir);
      return null;
    }
    if (lock.ready) return lock;
    if (performance.now() > end) {
      throw new StackError(
        "start_failed",
        `PostgreSQL (process ${lock.pid}) holds ${dataDir} but does not get ready: end it with kill ${lock.pid} and start again.`,
      );
    }
    await delay(50);
  }
}

/** Nothing of our environment (model keys, tokens) reaches the server. */
function serverEnv(): NodeJS.ProcessEnv {
  return { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };
}

function assertOwned(dataDir: string, as: RunAs): void {
  const owner = statSync(dataDir).uid;
  const self = as.uid ?? process.getuid?.();
  if (owner !== self) {
    throw new StackError(
      "data_folder",
      `The database in ${dataDir} belongs to another user (uid ${owner}): start as that user or as root, or set CORTEX_HOME to another folder.`,
    );
  }
}

async function launch(input: { options: PostgresOptions; bin: string; dataDir: string; as: RunAs }): Promise<number> {
  const { options, dataDir } = input;
  const end = performance.now() + LEFTOVER_TIMEOUT_MS;
  for (;;) {
    await assertPortFree(options.port, "POSTGRES_PORT", "PostgreSQL");
    const outcome = await tryLaunch(input);
    if (outcome.ok) return outcome.pid;
    const leftovers = /pre-existing shared memory block|lock file .* already exists/.test(outcome.log);
    if (!leftovers || performance.now() > end) throw explain(outcome.log, options, dataDir);
    await delay(150);
    await settleLock(dataDir);
  }
}

type Outcome = { ok: true; pid: number } | { ok: false; log: string };

/**
 * One try. The server writes to the log file and not to a pipe of ours, and readiness is read from its lock file:
 * so it never depends on the process that started it.
 */
async function tryLaunch(input: {
  options: PostgresOptions;
  bin: string;
  dataDir: string;
  as: RunAs;
}): Promise<Outcome> {
  const { options, dataDir } = input;
  const log = openSync(options.logFile, "a", 0o600);
  const logStart = fstatSync(log).size;
  const settings = { ...SETTINGS, ...options.settings, port: String(options.port) };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  // own process group: Ctrl-C at the terminal reaches us first, and we stop things in order
  const child = spawn(join(input.bin, "postgres"), ["-D", dataDir, ...flags], {
    ...input.as,
    env: serverEnv(),
    cwd: "/",
    stdio: ["ignore", log, log],
    detached: true,
  });
  closeSync(log);
  child.unref();
  let failure: string | null = null;
  child.once("error", (error) => (failure = error.message));
  child.once("exit", () => (failure ??= ""));
  const pid = child.pid;
  if (pid === undefined) return { ok: false, log: `${input.bin}/postgres could not be executed` };
  options.onSpawn?.(pid);

  const end = performance.now() + READY_TIMEOUT_MS;
  while (failure === null) {
    const lock = readLock(dataDir);
    if (lock.kind === "held" && lock.pid === pid && lock.ready) return { ok: true, pid };
    if (performance.now() > end) {
      await stopServer(pid);
      throw new StackError(
        "start_failed",
        `PostgreSQL did not get ready within ${READY_TIMEOUT_MS / 1000} s: see ${options.logFile}.`,
      );
    }
    await delay(5);
  }
  return { ok: false, log: failure || readFileSync(options.logFile).subarray(logStart).toString("utf8") };
}

function explain(log: string, options: PostgresOptions, dataDir: string): StackError {
  if (/could not bind|Address already in use/.test(log)) {
    return new StackError(
      "port_taken",
      `Port ${options.port} for PostgreSQL is taken by another program: stop that program, or set POSTGRES_PORT to a free port.`,
    );
  }
  const fatal = log
    .split("\n")
    .findLast((line) => /FATAL|PANIC/.test(line))
    ?.replace(/^.*?(FATAL|PANIC):\s*/, "");
  return new StackError(
    "start_failed",
    `PostgreSQL did not start on ${dataDir} (${fatal ?? (log.trim().split("\n").at(-1) || "no message")}): see ${options.logFile}; removing the folder starts with an empty database.`,
  );
}
