import { z } from "zod";
import { inThread } from "../library/in-thread.ts";
import { maxSourceBytes, readSource } from "../library/source.ts";
import { defineTool } from "../tool.ts";

const side = z.strictObject({
  text: z.string().max(maxSourceBytes).optional(),
  path: z.string().min(1).optional().describe("A UTF-8 file inside /workspace, up to 1 MB."),
});

export const tool = defineTool({
  name: "compare_texts",
  title: "Compare texts",
  description:
    "Compares two texts or files: line by line as a unified diff, or as JSON by what was added (+), removed (-) and changed (~) at which " +
    "JSON Pointer, whatever the order of keys and the layout.",
  icon: "file-diff",
  effect: "pure",
  schema: z.strictObject({
    left: side.describe("The old one: either text or path."),
    right: side.describe("The new one: either text or path."),
    as: z.enum(["lines", "json"]).optional().describe("Default lines."),
  }),
  timeoutMs: 60_000,
  maxResultChars: 50_000,
  execute: async (args, context) => {
    const texts = { left: await readSource(args.left, context), right: await readSource(args.right, context) };
    const job = args.as === "json" ? "compareJson" : "compareTexts";
    const found = await inThread(job, texts, context.signal);
    return found === "" ? "They are the same." : found;
  },
});
