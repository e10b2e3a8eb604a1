import { z } from "zod";
import { browserOf, browserToolMs, pageHead } from "../browser-answers.ts";
import { defineTool } from "../tool.ts";

const maxChars = 30_000;

export const tool = defineTool({
  name: "browser_extract",
  title: "Read page",
  description:
    "Reads the page that is open in the browser: its text as people read it, its links, or a snapshot of its elements with refs for browser_act. " +
    "Long pages come in parts: go on with offset.",
  icon: "scan-text",
  effect: "pure",
  untrusted: true,
  parallel: false,
  polls: true,
  schema: z.strictObject({
    what: z.enum(["text", "links", "snapshot"]).optional().describe("Default text."),
    offset: z.int().min(0).max(100_000_000).optional().describe("First character. Default 0."),
  }),
  timeoutMs: browserToolMs,
  maxResultChars: maxChars + 12_000,
  execute: async ({ what = "text", offset = 0 }, context) => {
    const browser = await browserOf(context);
    const read = await browser.extract({ what, offset, maxChars }, context.signal);
    const more = read.rest === 0 ? "" : `\n\n[${read.rest} more characters: go on with offset ${offset + maxChars}]`;
    return `${pageHead(read)}\n\n${read.text === "" ? "[nothing]" : read.text}${more}`;
  },
});
