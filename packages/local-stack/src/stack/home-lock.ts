import { randomUUID } from "node:crypto";
import {
  accessSync,
  constants,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { birthMark, endProcess, isAlive, waitUntilGone } from "../process/liveness.ts";
import { StackError, systemErrorCode } from "../stack-error.ts";

/*
 * One supervisor per data folder. `stack.lock` says who holds it (process id and birth mark, because ids are reused) and
 * which processes it started, so that the next start finds what a crash left over.
 */

const Held = z.object({ name: z.string(), pid: z.number(), mark: z.string() });
const LockFile = z.object({
  token: z.string(),
  pid: z.number(),
  mark: z.string(),
  watchdog: Held.nullable(),
  processes: z.array(Held),
});
type LockFile = z.infer<typeof LockFile>;

export type HomeLock = {
  /** remembers a process of ours, under its name; a restart replaces it */
  record: (name: string, pid: number) => void;
  recordWatchdog: (pid: number) => void;
  release: () => void;
};

/** Two that take over a stale lock at once: both write, the last one wins, and each looks again after this long. */
const SETTLE_MS = 50;
/** The watchdog of a crashed start needs at most 4 + 1 s for applications and as much for stores. */
const WATCHDOG_TIMEOUT_MS = 12_000;

/** Is this the process that the lock speaks of? */
function lives(process: { pid: number; mark: string }): boolean {
  return isAlive(process.pid) && birthMark(process.pid) === process.mark;
}

/** Who holds the folder now: the process id of a running supervisor, or null. */
export function holderOf(home: string): number | null {
  const lock = read(lockPath(home));
  return lock !== null && lives(lock) ? lock.pid : null;
}

/**
 * Takes the folder, making it if need be, and ends what a crashed start left running (Postgres and Redis excepted: they are
 * adopted). Errors: `already_running`, `data_folder`.
 */
export async function lockHome(home: string): Promise<HomeLock> {
  makeFolder(home);
  const path = lockPath(home);
  const mine: LockFile = {
    token: randomUUID(),
    pid: process.pid,
    mark: birthMark(process.pid),
    watchdog: null,
    processes: [],
  };
  if (!createExclusively(path, mine)) {
    const other = read(path);
    if (other !== null && lives(other)) throw taken(home, other.pid);
    if (other !== null) await endLeftovers(other);
    replace(path, mine);
    await delay(SETTLE_MS);
    const winner = read(path);
    if (winner?.token !== mine.token) throw taken(home, winner?.pid ?? 0);
  }
  return {
    record: (name, pid) => {
      mine.processes = [...mine.processes.filter((one) => one.name !== name), { name, pid, mark: birthMark(pid) }];
      replace(path, mine);
    },
    recordWatchdog: (pid) => {
      mine.watchdog = { name: "watchdog", pid, mark: birthMark(pid) };
      replace(path, mine);
    },
    release: () => {
      if (read(path)?.token === mine.token) rmSync(path, { force: true });
    },
  };
}

export function lockPath(home: string): string {
  return join(home, "stack.lock");
}

/** Not mkdir's own `recursive`: Node 26 never returns from it where the kernel refuses new folders (/proc). */
function makeWithParents(folder: string): void {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return;
  if (dirname(folder) !== folder) makeWithParents(dirname(folder));
  mkdirSync(folder);
}

function makeFolder(home: string): void {
  try {
    makeWithParents(home);
    accessSync(home, constants.W_OK | constants.X_OK);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const advice = "give this user the right to, or set CORTEX_HOME to another folder";
    throw new StackError("data_folder", `The data folder ${home} cannot be written (${why}): ${advice}.`, {
      cause: error,
    });
  }
}

function taken(home: string, pid: number): StackError {
  return new StackError(
    "already_running",
    `Cortex already runs on ${home} (process ${pid}): stop it there with Ctrl-C, or set CORTEX_HOME and the ports for a second one.`,
  );
}

/** The watchdog is probably at it; whatever it leaves is ended here. */
async function endLeftovers(crashed: LockFile): Promise<void> {
  if (crashed.watchdog !== null && lives(crashed.watchdog))
    await waitUntilGone(crashed.watchdog.pid, WATCHDOG_TIMEOUT_MS);
  const steps = [
    { signal: "SIGTERM", waitMs: 3_000 },
    { signal: "SIGKILL", waitMs: 1_000 },
  ] as const;
  const leftovers = crashed.processes.filter((one) => one.name !== "postgres" && one.name !== "redis" && lives(one));
  await Promise.all(leftovers.map((one) => endProcess(one.pid, [...steps])));
}

function read(path: string): LockFile | null {
  try {
    const parsed = LockFile.safeParse(JSON.parse(readFileSync(path, "utf8")));
    return parsed.success ? parsed.data : null;
  } catch {
    return null; // missing, or not JSON: then nobody wrote it whole and nobody holds it
  }
}

/** Appears complete or not at all; false when there is one already. */
function createExclusively(path: string, lock: LockFile): boolean {
  const draft = `${path}.${lock.token}`;
  writeFileSync(draft, JSON.stringify(lock), { mode: 0o600 });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (systemErrorCode(error) === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function replace(path: string, lock: LockFile): void {
  const draft = `${path}.${lock.token}`;
  writeFileSync(draft, JSON.stringify(lock), { mode: 0o600 });
  renameSync(draft, path);
}
