import { absoluteWorkspacePath, parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { defineTool } from "../tool.ts";

export const tool = defineTool({
  name: "make_folder",
  title: "Make folder",
  description:
    "Makes a folder of the workspace, with the folders above it. One that exists is fine. Only needed for an empty folder: " +
    "create_file makes the folders of its file.",
  icon: "folder-plus",
  effect: "idempotent",
  parallel: false,
  schema: z.strictObject({ path: z.string().min(1).describe("The folder, inside /workspace.") }),
  timeoutMs: 60_000,
  maxResultChars: 1_000,
  execute: async ({ path }, { openSandbox, signal }) => {
    const folder = parseWorkspacePath(path);
    const { files } = await openSandbox();
    await files.mkdir(folder, signal);
    return `The folder ${absoluteWorkspacePath(folder)} is there.`;
  },
});
