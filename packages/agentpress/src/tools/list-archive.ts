import { parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { archiveEntries } from "../archives/read-archive.ts";
import { defineTool } from "../tool.ts";

const maxShown = 500;

export const tool = defineTool({
  name: "list_archive",
  title: "List archive",
  description: "Lists what is in a zip, tar or tar.gz file of the workspace, without unpacking it.",
  icon: "archive",
  effect: "pure",
  schema: z.strictObject({ path: z.string().min(1).describe("The archive, inside /workspace.") }),
  timeoutMs: 120_000,
  maxResultChars: 60_000,
  execute: async ({ path }, { openSandbox, signal }) => {
    const { files } = await openSandbox();
    const lines: string[] = [];
    let count = 0;
    for await (const { name, kind, size } of archiveEntries(files, parseWorkspacePath(path), signal)) {
      count += 1;
      if (count <= maxShown) lines.push(kind === "file" ? `${name}\t${size} bytes` : `${name}\t${kind}`);
    }
    if (count === 0) return "The archive is empty.";
    return count > maxShown ? [...lines, `[${count - maxShown} further entries]`].join("\n") : lines.join("\n");
  },
});
