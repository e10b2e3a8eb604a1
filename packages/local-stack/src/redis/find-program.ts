import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** A program that can serve, and the libraries it needs beside it. */
export type RedisProgram = { path: string; version: string; env: Record<string, string> };

const NAMES = ["valkey-server", "redis-server"];
/** Homebrew and snap are often missing in the PATH of an editor or a service. */
const USUAL_FOLDERS = [
  "/opt/homebrew/bin",
  "/usr/local/bin",
  "/usr/bin",
  "/usr/sbin",
  "/snap/bin",
  "/home/linuxbrew/.linuxbrew/bin",
];

/** BullMQ 6 needs 6.2 (LMOVE, GETDEL, …). Valkey began with 7.2. */
export function isRecentEnough(version: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 6 || (major === 6 && minor >= 2);
}

/** The program's version, or null when it does not run here. Some builds print `v=7.0.15`, some `v7.0.15`. */
export async function redisVersion(path: string, env: Record<string, string> = {}): Promise<string | null> {
  try {
    const run = promisify(execFile);
    const { stdout } = await run(path, ["--version"], { env: { ...env, PATH: "/usr/bin:/bin" }, timeout: 5_000 });
    return /v=?(\d+\.\d+\.\d+)/.exec(stdout)?.[1] ?? null;
  } catch {
    return null; // wrong architecture, missing library, not a program: all mean "look further"
  }
}

/** The first valkey-server or redis-server on the PATH (or in the usual folders) that is recent enough, or null. */
export async function findOnPath(path: string): Promise<RedisProgram | null> {
  const folders = [...path.split(delimiter).filter((folder) => folder !== ""), ...USUAL_FOLDERS];
  for (const file of new Set(folders.flatMap((folder) => NAMES.map((name) => join(folder, name))))) {
    if (!isExecutable(file)) continue;
    const version = await redisVersion(file);
    if (version !== null && isRecentEnough(version)) return { path: file, version, env: {} };
  }
  return null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
