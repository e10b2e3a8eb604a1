import { constants, type Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, matchesGlob } from "node:path";
import { Arguments } from "./arguments.ts";
import type { Handler } from "./calls.ts";
import { locate, openLocated, type Workspace } from "./confine.ts";
import { unfinishedFolder } from "./entries.ts";
import { OperationError, operationErrorFrom } from "./operation-error.ts";

interface Match {
  path: string;
  line: number | null;
  text: string | null;
}

/** Bounds of one search: seconds at most, however large the workspace is. */
const maxVisited = 200_000;
const maxSearchedFileBytes = 5 * 1024 * 1024;
const maxLineLength = 500;
/** A NUL this early makes a file binary, as git and grep have it. */
const sniffedBytes = 8_000;

/** All files below a folder, in the order of their names, not into `exclude`. Yields null when the bound is reached. */
async function* walk(
  folder: string,
  named: string,
  exclude: ReadonlySet<string>,
): AsyncGenerator<string | null, void, undefined> {
  const pending = [""];
  let visited = 0;
  for (let below = pending.pop(); below !== undefined; below = pending.pop()) {
    let entries: Dirent[];
    try {
      entries = await readdir(join(folder, below), { withFileTypes: true });
    } catch (error) {
      // The first folder must be readable; one below may have been removed or closed meanwhile, which makes it no match.
      if (below === "") throw operationErrorFrom(error, named);
      continue;
    }
    const folders: string[] = [];
    for (const entry of entries.toSorted((left, right) => (left.name < right.name ? -1 : 1))) {
      if (++visited > maxVisited) return yield null;
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      if (entry.isFile()) yield path;
      else if (entry.isDirectory() && !exclude.has(entry.name)) folders.push(path);
    }
    pending.push(...folders.toReversed());
  }
}

/** The lines of a file that contain the text; none for what is binary, too large, or gone. */
const matchingLines = async (workspace: Workspace, located: string, text: string): Promise<[number, string][]> => {
  let content: Buffer;
  try {
    const handle = await openLocated(workspace, located, "", constants.O_RDONLY);
    try {
      const stats = await handle.stat();
      if (!stats.isFile() || stats.size > maxSearchedFileBytes) return [];
      content = await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof OperationError && ["file_not_found", "permission_denied"].includes(error.reason)) return [];
    throw error;
  }
  if (content.subarray(0, sniffedBytes).includes(0) || !content.includes(text)) return [];
  const found: [number, string][] = [];
  for (const [index, line] of content.toString("utf8").split("\n").entries()) {
    if (line.includes(text)) found.push([index + 1, line.slice(0, maxLineLength)]);
  }
  return found;
};

export const searchFiles =
  (workspace: Workspace): Handler =>
  async ({ args, signal }) => {
    const values = new Arguments(args);
    const path = values.text("path");
    const glob = values.textOrNull("glob");
    const text = values.textOrNull("text");
    const limit = values.count("limit");
    const exclude = new Set([...values.texts("exclude"), unfinishedFolder]);
    const folder = await locate(workspace, path);

    const matches: Match[] = [];
    for await (const below of walk(folder, path === "" ? "the workspace" : path, exclude)) {
      if (below === null || signal.aborted) return { matches, truncated: true };
      if (glob !== null && !matchesGlob(below, glob)) continue;
      const named = path === "" ? below : `${path}/${below}`;
      const found: Match[] =
        text === null
          ? [{ path: named, line: null, text: null }]
          : (await matchingLines(workspace, join(folder, below), text)).map(([line, content]) => ({
              path: named,
              line,
              text: content,
            }));
      for (const match of found) {
        if (matches.length >= limit) return { matches, truncated: true };
        matches.push(match);
      }
    }
    return { matches, truncated: false };
  };
