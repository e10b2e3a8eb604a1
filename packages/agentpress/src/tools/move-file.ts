import { absoluteWorkspacePath, parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { defineTool } from "../tool.ts";

export const tool = defineTool({
  name: "move_file",
  title: "Move file",
  description:
    "Moves or renames a file or folder of the workspace. `to` is the full new path, not the folder to move into; missing folders above it " +
    "are made. Whatever is there already stays, unless overwrite is set and both are files.",
  icon: "file-symlink",
  effect: "once",
  parallel: false,
  schema: z.strictObject({
    from: z.string().min(1).describe("What to move, inside /workspace."),
    to: z.string().min(1).describe("Its new path, inside /workspace."),
    overwrite: z.boolean().optional().describe("Replace a file that is there. Default false."),
  }),
  timeoutMs: 60_000,
  maxResultChars: 1_000,
  execute: async ({ from, to, overwrite = false }, { openSandbox, signal }) => {
    const source = parseWorkspacePath(from);
    const target = parseWorkspacePath(to);
    const { files } = await openSandbox();
    await files.move(source, target, { overwrite }, signal);
    return `Moved ${absoluteWorkspacePath(source)} to ${absoluteWorkspacePath(target)}.`;
  },
});
