import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { commandLine, isAlive, processesIn, waitUntilGone } from "../process/liveness.ts";
import { StackError, systemErrorCode } from "../stack-error.ts";

/*
 * postmaster.pid, line by line (PostgreSQL 17, src/include/utils/pidfile.h): pid, data folder, start time, port,
 * socket folder, listen address, shared memory key, status ("starting", "stopping", "ready", "standby").
 */

export type LockVerdict =
  /** nobody holds the folder; what is left of a lock file is Postgres' own business */
  | { kind: "free" }
  /** a Postgres on this very folder */
  | { kind: "held"; pid: number; port: number; ready: boolean }
  /** a file that keeps Postgres from starting although nobody holds the folder */
  | { kind: "stale"; reason: string };

/** What a lock file means. Pure: the two looks at the system are parameters. */
export function judgeLockFile(
  text: string | null,
  look: { isAlive: (pid: number) => boolean; serves: (pid: number) => boolean },
): LockVerdict {
  if (text === null) return { kind: "free" };
  const lines = text.split("\n").map((line) => line.trim());
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return { kind: "stale", reason: "the file is empty or torn" };
  if (!look.isAlive(pid)) {
    // Postgres clears a file whose process is gone, but takes a zombie for a living owner: so the file goes either way
    return { kind: "stale", reason: `process ${pid} has ended` };
  }
  if (!look.serves(pid)) return { kind: "stale", reason: `process ${pid} is another program now` };
  return { kind: "held", pid, port: Number(lines[3]) || 0, ready: lines[7] === "ready" };
}

/** Is `pid` a Postgres on exactly this folder? Another cluster may have got a recycled id, most of all in containers. */
function servesFolder(pid: number, dataDir: string): boolean {
  const line = ` ${commandLine(pid)} `;
  return /postgres|postmaster/.test(line) && line.includes(` -D ${dataDir} `);
}

export function readLock(dataDir: string): LockVerdict {
  return judgeLockFile(readIfThere(join(dataDir, "postmaster.pid")), {
    isAlive,
    serves: (pid) => servesFolder(pid, dataDir),
  });
}

function readIfThere(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes(systemErrorCode(error) ?? "")) return null; // a wrong folder is said later
    throw error;
  }
}

/**
 * Removes a stale lock file, after the last backend of the dead server is gone: without its lock file Postgres could
 * not see that they still write to the same folder.
 */
export async function clearStaleLock(dataDir: string): Promise<void> {
  for (const pid of processesIn(dataDir)) {
    if (!(await waitUntilGone(pid, 10_000))) {
      throw new StackError(
        "data_folder",
        `Process ${pid} of an earlier PostgreSQL still uses ${dataDir}: end it (kill ${pid}) and start again.`,
      );
    }
  }
  rmSync(join(dataDir, "postmaster.pid"), { force: true });
}
