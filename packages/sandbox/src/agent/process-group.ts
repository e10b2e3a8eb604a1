import { readdirSync, readFileSync } from "node:fs";
import { errnoOf } from "./operation-error.ts";

/** State and process group in `/proc/<pid>/stat`, behind the program's name, which may hold anything but ends with the last bracket. */
const statPattern = /\) (\S) \d+ (\d+) [^)]*$/;

const isMember = (pid: string, group: number): boolean => {
  try {
    const [, state, of] = statPattern.exec(readFileSync(`/proc/${pid}/stat`, "latin1")) ?? [];
    // What has ended and only waits for its parent needs no killing.
    return Number(of) === group && state !== "Z" && state !== "X";
  } catch {
    // It ended while we looked.
    return false;
  }
};

/** How many processes live in the group that this one leads; null if nobody can say. Waits for nothing: the next thing is to kill them. */
export const groupSize = (leader: number | undefined): number | null => {
  if (leader === undefined) return 0;
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name) && isMember(name, leader)).length;
  } catch {
    // No such folder on this system.
    return null;
  }
};

/** Kills the leader and everything that it started and that has not left its process group. */
export const killGroup = (leader: number | undefined): void => {
  if (leader === undefined) return;
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    // Nobody is left in the group: that is what we wanted.
    if (errnoOf(error) !== "ESRCH") throw error;
  }
};
