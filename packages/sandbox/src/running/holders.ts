import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";

/**
 * Who holds a sandbox on this machine. Several of our processes may (two workers with a run of the same project each, the API for its
 * files), each with a process of its own over the same folder. Each writes itself down, so that whoever stops or deletes the sandbox
 * can end all of them.
 */
const Holder = z.object({
  pid: z.int().positive(),
  /** When the process began, as the kernel counts it: a pid is used again, a pair is not. */
  born: z.string(),
  /** Which boot and pid namespace the pid belongs to; anywhere else the number means somebody else. */
  where: z.string(),
});

const readOrNull = (read: () => string): string | null => {
  try {
    return read().trim();
  } catch {
    // Not Linux, or the process has ended: there is nothing to read.
    return null;
  }
};

const here = (): string => {
  const boot = readOrNull(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8"));
  const namespace = readOrNull(() => readlinkSync("/proc/self/ns/pid"));
  return `${boot ?? process.platform} ${namespace ?? ""}`;
};

/** The kernel's start time of a process, or "" where there is no /proc; null if there is no such process. */
const birthOf = (pid: number): string | null => {
  if (process.platform !== "linux") return isAlive(pid) ? "" : null;
  const stat = readOrNull(() => readFileSync(`/proc/${pid}/stat`, "utf8"));
  // The second field is the program's name in brackets and may hold anything; field 22 is the 20th behind it.
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? null;
};

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
};

/** Writes a process down as a holder. @returns how to cross it out @throws if the sandbox's folder is gone */
export const registerHolder = (folder: string, pid: number): (() => void) => {
  const file = join(folder, `${pid}.json`);
  writeFileSync(file, JSON.stringify({ pid, born: birthOf(pid) ?? "", where: here() }), { mode: 0o600 });
  return () => rmSync(file, { force: true });
};

/** Ended processes leave at once; a machine under load may need a moment to take them away. */
const endPatienceMs = 5_000;

const livingHolders = (folder: string): number[] => {
  const pids: number[] = [];
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
  for (const name of names) {
    const text = readOrNull(() => readFileSync(join(folder, name), "utf8"));
    const holder = Holder.safeParse(text === null || text === "" ? null : JSON.parse(text));
    if (holder.success && holder.data.where === here() && birthOf(holder.data.pid) === holder.data.born) {
      pids.push(holder.data.pid);
    }
  }
  return pids;
};

/** Is any process on this machine running this sandbox? */
export const isHeld = (folder: string): boolean => livingHolders(folder).length > 0;

/**
 * Kills every process on this machine that runs this sandbox, whoever of us started it, and waits until they are gone.
 * @returns how many there were
 */
export const endHolders = async (folder: string): Promise<number> => {
  const pids = livingHolders(folder);
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      // It has ended by itself.
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  }
  const until = performance.now() + endPatienceMs;
  while (livingHolders(folder).length > 0 && performance.now() < until) await sleep(5);
  return pids.length;
};
