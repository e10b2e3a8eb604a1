import { type BigIntStats, lstatSync } from "node:fs";
import { lstat, readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { Arguments } from "./arguments.ts";
import type { Handler } from "./calls.ts";
import { locate, type Workspace } from "./confine.ts";
import { errnoOf, operationErrorFrom } from "./operation-error.ts";

/** Where unfinished writes stand. It exists only while there are some, and no listing shows it. */
export const unfinishedFolder = ".cortex-unfinished";

/** One entry as it goes over the wire; `FileEntry` of the port, in JSON. */
export interface WireEntry {
  name: string;
  path: string;
  type: "file" | "directory" | "symlink" | "other";
  size: number;
  modified_ms: number;
  mode: number;
  etag: string;
}

const typeOf = (stats: BigIntStats): WireEntry["type"] => {
  if (stats.isFile()) return "file";
  if (stats.isDirectory()) return "directory";
  return stats.isSymbolicLink() ? "symlink" : "other";
};

/** Inode, size and change time: a write by rename changes the first, a write in place the last. */
export const etagOf = (stats: BigIntStats): string =>
  `${stats.ino.toString(36)}-${stats.size.toString(36)}-${stats.ctimeNs.toString(36)}`;

export const entryOf = (path: string, stats: BigIntStats): WireEntry => ({
  name: basename(path),
  path,
  type: typeOf(stats),
  size: Number(stats.size),
  modified_ms: Number(stats.mtimeMs),
  mode: Number(stats.mode & 0o777n),
  etag: etagOf(stats),
});

/** The entry at a path, symlinks followed, or null. */
export const statEntry =
  (workspace: Workspace): Handler =>
  async ({ args }) => {
    const path = new Arguments(args).text("path");
    const located = await locate(workspace, path);
    try {
      return entryOf(path, await stat(located, { bigint: true }));
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return null;
      throw operationErrorFrom(error, path);
    }
  };

/** Entries looked at in one go: about a millisecond, so that a huge folder does not hold up the other calls. */
const sliceLength = 256;

/**
 * The entries of a folder by name. Looked at synchronously in slices: for thousands of entries that takes a tenth of the time of as many
 * trips through the thread pool.
 */
export const listEntries =
  (workspace: Workspace): Handler =>
  async ({ args, signal }) => {
    const values = new Arguments(args);
    const path = values.text("path");
    const limit = values.count("limit");
    const located = await locate(workspace, path);
    try {
      const names = (await readdir(located)).filter((name) => path !== "" || name !== unfinishedFolder).toSorted();
      const entries: WireEntry[] = [];
      for (const [index, name] of names.slice(0, limit).entries()) {
        if (index > 0 && index % sliceLength === 0) await setImmediate();
        if (signal.aborted) break;
        const stats = lstatSync(join(located, name), { bigint: true, throwIfNoEntry: false });
        // Removed since the folder was read: it is not there.
        if (stats !== undefined) entries.push(entryOf(path === "" ? name : `${path}/${name}`, stats));
      }
      return { entries, truncated: names.length > limit };
    } catch (error) {
      throw operationErrorFrom(error, path);
    }
  };

/** The stats of an entry itself, or null. */
export const lstatOrNull = async (located: string, path: string): Promise<BigIntStats | null> => {
  try {
    return await lstat(located, { bigint: true });
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw operationErrorFrom(error, path);
  }
};
