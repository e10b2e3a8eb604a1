import { absoluteWorkspacePath, parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { extractArchive } from "../archives/read-archive.ts";
import { defineTool } from "../tool.ts";

export const tool = defineTool({
  name: "extract_archive",
  title: "Extract archive",
  description:
    "Unpacks a zip, tar or tar.gz file of the workspace into a folder. Refuses names that lead elsewhere, more than 10,000 entries, more than " +
    "200 MB, and bombs; leaves links out. Files that are there already stay and end it, unless overwrite is set.",
  icon: "archive-restore",
  effect: "once",
  parallel: false,
  schema: z.strictObject({
    path: z.string().min(1).describe("The archive, inside /workspace."),
    into: z.string().optional().describe("The folder to unpack into; it is made. Default: the workspace."),
    overwrite: z.boolean().optional().describe("Replace files that are there. Default false."),
  }),
  timeoutMs: 600_000,
  maxResultChars: 5_000,
  execute: async ({ path, into = "", overwrite = false }, { openSandbox, signal }) => {
    const target = parseWorkspacePath(into);
    const { files } = await openSandbox();
    const done = await extractArchive(files, { path: parseWorkspacePath(path), into: target, overwrite }, signal);
    const skipped =
      done.skipped.length === 0
        ? ""
        : ` Left out, because they are links or devices: ${done.skipped.slice(0, 20).join(", ")}.`;
    return `Unpacked ${done.files} files (${done.bytes} bytes) into ${absoluteWorkspacePath(target)}.${skipped}`;
  },
});
