import { absoluteWorkspacePath, parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { defineTool } from "../tool.ts";

/** Idempotent: writing the same content to the same path again leaves the same file. So an existing file is replaced, and that is said. */
export const tool = defineTool({
  name: "create_file",
  title: "Create file",
  description:
    "Creates a text file in the workspace, with its folders, or rewrites one in full: a file that is already there is replaced as a whole. " +
    "To change a part of it, use edit_file.",
  icon: "file-plus",
  effect: "idempotent",
  parallel: false,
  schema: z.strictObject({
    path: z.string().min(1).describe("Where, inside /workspace, for instance src/main.py."),
    content: z.string().describe("The whole content."),
  }),
  timeoutMs: 60_000,
  maxResultChars: 1_000,
  execute: async ({ path, content }, { openSandbox, signal }) => {
    const target = parseWorkspacePath(path);
    const { files } = await openSandbox();
    const existed = (await files.stat(target, signal)) !== null;
    const entry = await files.write(target, content, {}, signal);
    return `${existed ? "Replaced" : "Created"} ${absoluteWorkspacePath(target)} (${entry.size} bytes).`;
  },
});
