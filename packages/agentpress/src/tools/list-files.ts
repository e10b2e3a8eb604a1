import {
  absoluteWorkspacePath,
  type FileEntry,
  parseWorkspacePath,
  type SandboxFiles,
  type WorkspacePath,
} from "@cortex/sandbox/port";
import { z } from "zod";
import { defineTool } from "../tool.ts";

/** Entries of one answer: more than a model can use, fewer than would fill its context. */
const maxEntries = 500;

/** Folders that are full and never what is meant. They are listed, and not entered. */
const notEntered: ReadonlySet<string> = new Set([".git", "node_modules", "__pycache__", ".venv"]);

const lineOf = (entry: FileEntry): string => {
  if (entry.type === "directory") return `${entry.path}/`;
  return entry.type === "file" ? `${entry.path}\t${entry.size} bytes` : `${entry.path}\t${entry.type}`;
};

interface Listing {
  lines: string[];
  truncated: boolean;
}

const listInto = async (
  listing: Listing,
  files: SandboxFiles,
  folder: WorkspacePath,
  depth: number,
  signal: AbortSignal,
): Promise<void> => {
  const { entries, truncated } = await files.list(folder, { limit: maxEntries - listing.lines.length }, signal);
  listing.truncated ||= truncated;
  for (const entry of entries) {
    if (listing.lines.length >= maxEntries) {
      listing.truncated = true;
      return;
    }
    listing.lines.push(lineOf(entry));
    if (entry.type === "directory" && depth > 1 && !notEntered.has(entry.name) && listing.lines.length < maxEntries) {
      await listInto(listing, files, parseWorkspacePath(entry.path), depth - 1, signal);
    }
  }
};

export const tool = defineTool({
  name: "list_files",
  title: "List files",
  description: "Lists files and folders of the workspace with their sizes. Folders end with a slash.",
  icon: "folder-open",
  effect: "pure",
  schema: z.strictObject({
    path: z.string().optional().describe("The folder, inside /workspace. Default: the workspace itself."),
    depth: z.int().min(1).max(5).optional().describe("How many levels to go down, 1 to 5. Default 1."),
  }),
  timeoutMs: 60_000,
  maxResultChars: 60_000,
  execute: async ({ path = "", depth = 1 }, { openSandbox, signal }) => {
    const folder = parseWorkspacePath(path);
    const { files } = await openSandbox();
    const listing: Listing = { lines: [], truncated: false };
    await listInto(listing, files, folder, depth, signal);
    if (listing.lines.length === 0) return `${absoluteWorkspacePath(folder)} is empty.`;
    const note = listing.truncated ? [`[Only the first ${maxEntries} entries are shown.]`] : [];
    return [...listing.lines, ...note].join("\n");
  },
});
