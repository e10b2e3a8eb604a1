import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { endProcess, isAlive } from "../process/liveness.ts";
import { StackError } from "../stack-error.ts";
import { lastWords } from "./last-words.ts";

/** What to run, and how to see that it works. */
export type ProcessPlan = {
  name: string;
  /** a TypeScript file for our own Node */
  script: string;
  /** for Node, before the script */
  flags?: readonly string[];
  env: Record<string, string | undefined>;
  isReady: () => Promise<boolean>;
};

export type ManagedProcess = {
  name: string;
  /** null while it is down */
  pid: () => number | null;
  /** SIGTERM, and SIGKILL after `graceMs`; it is not started again */
  stop: (graceMs: number) => Promise<void>;
};

type Deps = {
  logFolder: string;
  /** a line for the person at the terminal */
  say: (line: string) => void;
  /** at each start of the process, before it is ready */
  onSpawn: (name: string, pid: number) => void;
  /** stops waiting for readiness */
  signal: AbortSignal;
};

/** A cold Node on a busy small machine needs 2–3 s to its first answer. 60 s > that by far: longer means it hangs. */
const READY_TIMEOUT_MS = 60_000;
/** Waits between restarts double from here … */
const FIRST_BACKOFF_MS = 500;
/** … to here, and begin anew after a life longer than STABLE_MS > LAST_BACKOFF_MS. */
const LAST_BACKOFF_MS = 30_000;
const STABLE_MS = 60_000;
/** A log beyond this is set aside (one old one is kept) when its process starts. */
const LOG_LIMIT_BYTES = 10 * 1024 * 1024;

/**
 * Starts an application and keeps it running: a crash is said and followed by a restart with growing pauses. Returns when
 * it is ready. It ends with us (end-with-parent.ts). Error `start_failed` when it ends or hangs before it was ready.
 */
export async function startManaged(plan: ProcessPlan, deps: Deps): Promise<ManagedProcess> {
  const stopping = new AbortController();
  const logFile = join(deps.logFolder, `${plan.name}.log`);
  let child = launch(plan, deps, logFile);
  const managed: ManagedProcess = {
    name: plan.name,
    pid: () => {
      const { pid, exitCode, signalCode } = child;
      if (pid === undefined || exitCode !== null || signalCode !== null) return null; // the number may be another's by now
      return isAlive(pid) ? pid : null; // Node hears of an end a little later than it happens
    },
    stop: async (graceMs) => {
      stopping.abort();
      const pid = managed.pid();
      const steps = [
        { signal: "SIGTERM", waitMs: graceMs },
        { signal: "SIGKILL", waitMs: 1_000 },
      ] as const;
      if (pid !== null && (await endProcess(pid, [...steps]))) await endOf(child);
    },
  };
  try {
    await untilReady(plan, child, logFile, deps.signal);
  } catch (error) {
    await managed.stop(1_000);
    throw error;
  }

  const keepRunning = async (): Promise<void> => {
    let backoffMs = FIRST_BACKOFF_MS;
    for (;;) {
      const startedAt = performance.now();
      const how = await endOf(child);
      if (stopping.signal.aborted) return;
      if (performance.now() - startedAt > STABLE_MS) backoffMs = FIRST_BACKOFF_MS;
      deps.say(`${plan.name} ended (${how}); starting it again in ${backoffMs / 1_000} s, see ${logFile}`);
      if (!(await pause(backoffMs, stopping.signal))) return;
      child = launch(plan, deps, logFile);
      backoffMs = Math.min(backoffMs * 2, LAST_BACKOFF_MS);
    }
  };
  keepRunning().catch((error: unknown) => deps.say(`${plan.name} is no longer watched: ${String(error)}`));
  return managed;
}

function launch(plan: ProcessPlan, deps: Deps, logFile: string): ChildProcess {
  if ((statSync(logFile, { throwIfNoEntry: false })?.size ?? 0) > LOG_LIMIT_BYTES) renameSync(logFile, `${logFile}.1`);
  const log = openSync(logFile, "a", 0o600);
  const preload = join(import.meta.dirname, "end-with-parent.ts");
  // own process group: Ctrl-C at the terminal reaches us first, and we stop things in order
  const child = spawn(process.execPath, [...(plan.flags ?? []), "--import", preload, plan.script], {
    env: plan.env,
    stdio: ["ignore", log, log, "ipc"],
    detached: true,
  });
  closeSync(log);
  child.once("error", () => {}); // it could not be spawned: then it has no process id and `endOf` says so
  if (child.pid !== undefined) deps.onSpawn(plan.name, child.pid);
  return child;
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    const describe = (code: number | null, signal: string | null): string => signal ?? `exit code ${code ?? "unknown"}`;
    if (child.pid === undefined) resolve("it could not be started");
    else if (child.exitCode !== null || child.signalCode !== null) resolve(describe(child.exitCode, child.signalCode));
    else child.once("exit", (code, signal) => resolve(describe(code, signal)));
  });
}

async function untilReady(plan: ProcessPlan, child: ChildProcess, logFile: string, signal: AbortSignal): Promise<void> {
  let ended: string | null = null;
  void endOf(child).then((how) => (ended = how));
  const end = performance.now() + READY_TIMEOUT_MS;
  while (!(await plan.isReady())) {
    if (ended !== null) {
      const reason = `${plan.name} ended at its start (${String(ended)}): ${lastWords(logFile)}`;
      throw new StackError("start_failed", `${reason} (all of it in ${logFile}).`);
    }
    if (performance.now() > end) {
      const patience = `${READY_TIMEOUT_MS / 1_000} s`;
      throw new StackError("start_failed", `${plan.name} was not ready within ${patience}: see ${logFile}.`);
    }
    await delay(25, undefined, { signal });
  }
}

/** Waits; false when it was cut short. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await delay(ms, undefined, { signal });
    return true;
  } catch {
    return false;
  }
}
