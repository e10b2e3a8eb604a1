import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { eventually } from "@cortex/testing";

/** One process of the fleet over all its lives. */
export interface FleetProcess {
  readonly name: string;
  /** Null while it is down. */
  pid(): number | null;
  /** How often it was started. */
  lives(): number;
  /** Starts it and waits until it says that it is ready. `env` holds for this life only, above what the fleet gives it. */
  start(env?: Record<string, string>): Promise<void>;
  /** Sends a signal; false if it is down. */
  signal(name: NodeJS.Signals): boolean;
  /** SIGKILL, and waits for the end; false if it was down. */
  kill(): Promise<boolean>;
  /** SIGTERM, and how it ended; null if it was down. */
  stop(): Promise<{ code: number | null; ms: number } | null>;
  /** Resolves when this life ends, by whatever; at once if it is down. */
  ended(): Promise<void>;
  /** What it wrote, in this life or in all of them. */
  output(scope?: "this life" | "all"): string;
}

export interface ProcessPlan {
  name: string;
  /** Below the checkout. */
  script: string;
  /** Options of Node. */
  flags?: readonly string[];
  /** The environment of its n-th life (from 1). */
  env: (life: number) => Record<string, string>;
  /** What it writes when it works. */
  ready: RegExp;
}

/** A cold start of a dozen processes on two cores takes some seconds; longer than this it hangs. */
const readyMs = 60_000;

const root = join(import.meta.dirname, "../..");

/** Debian's and Homebrew's; the environment of whoever started us stays outside. */
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin";

/**
 * A real process of this checkout, with its output in a file, so that neither its death nor ours loses a line.
 * @param deps.spawned told of each process id, before it is ready: for a watchdog
 */
export const defineProcess = (
  deps: { folder: string; spawned: (pid: number) => void },
  plan: ProcessPlan,
): FleetProcess => {
  const logFile = join(deps.folder, `${plan.name}.log`);
  let child: ChildProcess | null = null;
  let lives = 0;
  let lifeBegins = 0;
  const living = (): ChildProcess | null =>
    child !== null && child.exitCode === null && child.signalCode === null ? child : null;
  const ended = async (): Promise<void> => {
    const alive = living();
    if (alive) await once(alive, "exit");
  };
  const output = (scope: "this life" | "all" = "this life"): string => {
    if (!existsSync(logFile)) return "";
    return readFileSync(logFile)
      .subarray(scope === "all" ? 0 : lifeBegins)
      .toString("utf8");
  };
  const start = async (env: Record<string, string> = {}): Promise<void> => {
    if (living()) throw new Error(`${plan.name} runs already`);
    lives += 1;
    lifeBegins = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
    const log = openSync(logFile, "a");
    const life = spawn(process.execPath, [...(plan.flags ?? []), join(root, plan.script)], {
      cwd: root,
      env: { PATH: searchPath, ...plan.env(lives), ...env },
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    child = life;
    life.once("error", () => {}); // it could not be spawned: then it has no process id, and is never ready
    if (life.pid !== undefined) deps.spawned(life.pid);
    await eventually(
      () => {
        if (plan.ready.test(output())) return true;
        if (living() === null) return "ended";
        return false;
      },
      { timeoutMs: readyMs, intervalMs: 25 },
    );
    if (!plan.ready.test(output())) throw new Error(`${plan.name} ended at its start:\n${output().slice(-4_000)}`);
  };
  return {
    name: plan.name,
    pid: () => living()?.pid ?? null,
    lives: () => lives,
    start,
    signal: (name) => living()?.kill(name) ?? false,
    kill: async () => {
      const alive = living();
      if (!alive) return false;
      alive.kill("SIGKILL");
      await ended();
      return true;
    },
    stop: async () => {
      const alive = living();
      if (!alive) return null;
      const startedAt = performance.now();
      alive.kill("SIGTERM");
      await ended();
      return { code: alive.exitCode, ms: performance.now() - startedAt };
    },
    ended,
    output,
  };
};
