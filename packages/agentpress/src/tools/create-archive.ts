import { absoluteWorkspacePath, parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { type ArchiveFormat, writeArchive } from "../archives/write-archive.ts";
import { ToolFailure } from "../errors.ts";
import { defineTool } from "../tool.ts";

const formatOf = (path: string): ArchiveFormat => {
  if (path.endsWith(".zip")) return "zip";
  if (path.endsWith(".tar")) return "tar";
  if (path.endsWith(".tar.gz") || path.endsWith(".tgz")) return "tar.gz";
  throw new ToolFailure("The name of the archive must end with .zip, .tar, .tar.gz or .tgz.");
};

export const tool = defineTool({
  name: "create_archive",
  title: "Create archive",
  description:
    "Packs files and folders of the workspace into a zip, tar or tar.gz file, by the ending of its name. Links are left out; at most " +
    "10,000 files and 200 MB.",
  icon: "package",
  effect: "idempotent",
  parallel: false,
  schema: z.strictObject({
    path: z.string().min(1).describe("The new archive, inside /workspace, for instance out/site.zip."),
    from: z.array(z.string()).min(1).max(100).describe("Files and folders to pack, inside /workspace."),
    overwrite: z.boolean().optional().describe("Replace an archive that is there. Default false."),
  }),
  timeoutMs: 600_000,
  maxResultChars: 1_000,
  execute: async ({ path, from, overwrite = false }, { openSandbox, signal }) => {
    const target = parseWorkspacePath(path);
    const input = { path: target, format: formatOf(target), from: from.map(parseWorkspacePath), overwrite };
    const { files } = await openSandbox();
    const done = await writeArchive(files, input, signal);
    return `Packed ${done.files} files into ${absoluteWorkspacePath(target)} (${done.bytes} bytes).`;
  },
});
