import { z } from "zod";
import { inThread } from "../library/in-thread.ts";
import type { TextMatch } from "../library/match-text.ts";
import { readSource, sourceFields } from "../library/source.ts";
import { defineTool } from "../tool.ts";

const lineOf = ({ line, text, groups }: TextMatch): string =>
  groups.length === 0
    ? `${line}: ${JSON.stringify(text)}`
    : `${line}: ${JSON.stringify(text)} ${JSON.stringify(groups)}`;

export const tool = defineTool({
  name: "match_text",
  title: "Match text",
  description:
    "Finds and counts what a regular expression (JavaScript syntax, Unicode) matches in a text or file. Answers with the count, and for each " +
    "match its line, its text, and its groups. Use search_files to look for a plain text in many files.",
  icon: "regex",
  effect: "pure",
  schema: z.strictObject({
    ...sourceFields,
    pattern: z.string().min(1).max(2_000).describe("Without slashes and flags."),
    flags: z
      .string()
      .regex(/^(?!.*(.).*\1)[ims]*$/)
      .optional()
      .describe("Of i (case does not count), m (^ and $ match at lines), s (. matches line breaks). Default none."),
    limit: z.int().min(0).max(500).optional().describe("Matches that are shown. Default 100; all are counted."),
  }),
  timeoutMs: 60_000,
  maxResultChars: 50_000,
  execute: async ({ pattern, flags = "", limit = 100, ...source }, context) => {
    const input = { text: await readSource(source, context), pattern, flags, limit };
    const { count, matches } = await inThread("matchText", input, context.signal);
    return [`${count} ${count === 1 ? "match" : "matches"}`, ...matches.map(lineOf)].join("\n");
  },
});
