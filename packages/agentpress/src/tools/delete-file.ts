import { absoluteWorkspacePath, parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { ToolFailure } from "../errors.ts";
import { defineTool } from "../tool.ts";

/** `once`: a repetition could remove what somebody has put there meanwhile. */
export const tool = defineTool({
  name: "delete_file",
  title: "Delete file",
  description:
    "Deletes a file of the workspace, or a folder; a folder that is not empty only with recursive. It cannot be undone. " +
    "Of a symbolic link only the link goes.",
  icon: "file-x",
  effect: "once",
  parallel: false,
  schema: z.strictObject({
    path: z.string().min(1).describe("The file or folder, inside /workspace."),
    recursive: z.boolean().optional().describe("Delete a folder with all its content. Default false."),
  }),
  timeoutMs: 120_000,
  maxResultChars: 1_000,
  execute: async ({ path, recursive = false }, { openSandbox, signal }) => {
    const target = parseWorkspacePath(path);
    if (target === "") throw new ToolFailure("The workspace itself cannot be deleted. Delete what is in it.");
    const { files } = await openSandbox();
    await files.remove(target, { recursive }, signal);
    return `Deleted ${absoluteWorkspacePath(target)}.`;
  },
});
