import { absoluteWorkspacePath, parseWorkspacePath } from "@cortex/sandbox/port";
import { z } from "zod";
import { maxPictureBytes } from "../context/pictures.ts";
import { ToolFailure } from "../errors.ts";
import type { ToolImage } from "../messages.ts";
import { defineTool } from "../tool.ts";

const begins = (bytes: Uint8Array, mark: string, at = 0): boolean =>
  Buffer.from(bytes.subarray(at, at + mark.length)).toString("latin1") === mark;

/** What a file is, by its first bytes: a name says nothing, and a provider refuses the whole request over one wrong type. */
const typeOf = (bytes: Uint8Array): ToolImage["mediaType"] | null => {
  if (begins(bytes, "\x89PNG\r\n\x1a\n")) return "image/png";
  if (begins(bytes, "\xff\xd8\xff")) return "image/jpeg";
  if (begins(bytes, "GIF87a") || begins(bytes, "GIF89a")) return "image/gif";
  return begins(bytes, "RIFF") && begins(bytes, "WEBP", 8) ? "image/webp" : null;
};

export const tool = defineTool({
  name: "view_image",
  title: "View image",
  description:
    "Shows you a picture of the workspace: a PNG, JPEG, GIF or WebP file of at most 1 MB. Make larger ones smaller first, with execute_command.",
  icon: "image",
  effect: "pure",
  schema: z.strictObject({ path: z.string().min(1).describe("The file, inside /workspace.") }),
  timeoutMs: 60_000,
  maxResultChars: 2_000,
  execute: async ({ path }, { openSandbox, signal }) => {
    const target = parseWorkspacePath(path);
    const name = absoluteWorkspacePath(target);
    const { files } = await openSandbox();
    const entry = await files.stat(target, signal);
    if (entry === null) throw new ToolFailure(`There is no file ${name}.`);
    const { size } = entry;
    if (size > maxPictureBytes) {
      throw new ToolFailure(`${name} has ${size} bytes; a picture may have ${maxPictureBytes}. Make it smaller first.`);
    }
    const bytes = await files.read(target, { maxBytes: maxPictureBytes }, signal);
    const mediaType = typeOf(bytes);
    if (mediaType === null) throw new ToolFailure(`${name} is no PNG, JPEG, GIF or WebP picture.`);
    return {
      content: `The picture ${name} (${mediaType}, ${bytes.length} bytes) stands behind the results.`,
      images: [{ mediaType, data: Buffer.from(bytes).toString("base64") }],
    };
  },
});
