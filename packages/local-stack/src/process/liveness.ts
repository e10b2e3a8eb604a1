import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const onLinux = process.platform === "linux";

/** The whole text of a /proc file, or null when the process is gone or not ours to read. */
function readProc(pid: number, name: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return null; // ended in between, or owned by another user: both mean "nothing known"
  }
}

/** What `ps` says about one process; macOS has no /proc. */
function ps(pid: number, field: string): string {
  return spawnSync("ps", ["-p", String(pid), "-o", `${field}=`], { encoding: "utf8" }).stdout?.trim() ?? "";
}

/** A zombie has ended already; a container without an init process keeps it for ever, and `kill 0` calls it alive. */
function isZombie(pid: number): boolean {
  if (!onLinux) return ps(pid, "state").startsWith("Z");
  const stat = readProc(pid, "stat");
  return stat !== null && stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
}

/** Does this process id belong to a process that still executes? */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, under another user
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  return !isZombie(pid);
}

/** The command line of a process, arguments separated by blanks; "" when unknown. */
export function commandLine(pid: number): string {
  return onLinux ? (readProc(pid, "cmdline") ?? "").replaceAll("\0", " ").trim() : ps(pid, "args");
}

/**
 * A mark that stays the same for the life of a process and differs for a later one with the same id
 * (Linux: start time in clock ticks since boot, field 22 of /proc/<pid>/stat). "" when the process is gone.
 */
export function birthMark(pid: number): string {
  if (!onLinux) return ps(pid, "lstart");
  const stat = readProc(pid, "stat");
  return stat === null ? "" : (stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? "");
}

/** The process that this one is a child of, or null when it is gone. */
export function parentOf(pid: number): number | null {
  if (!onLinux) return Number(ps(pid, "ppid")) || null;
  const stat = readProc(pid, "stat");
  return stat === null ? null : Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) || null;
}

/** Ids of live processes whose working folder is `folder`; Postgres' backends stand in their data folder. Linux only. */
export function processesIn(folder: string): number[] {
  if (!onLinux) return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readlinkSync(`/proc/${pid}/cwd`) === folder && isAlive(pid);
      } catch {
        return false; // gone, or another user's: not a backend that we started
      }
    });
}

/** Waits until the process has ended: true, or false after `timeoutMs`. Works for processes that are not our children. */
export async function waitUntilGone(pid: number, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs;
  while (isAlive(pid)) {
    if (performance.now() > end) return false;
    await delay(10);
  }
  return true;
}

/** Sends a signal; a process that has ended meanwhile is fine. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** Ends a process by a series of signals, each with the time it gets before the next one. True when it has ended. */
export async function endProcess(pid: number, steps: { signal: NodeJS.Signals; waitMs: number }[]): Promise<boolean> {
  for (const step of steps) {
    signal(pid, step.signal);
    if (await waitUntilGone(pid, step.waitMs)) return true;
  }
  return !isAlive(pid);
}
