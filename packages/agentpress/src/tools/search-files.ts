import { parseWorkspacePath, type SearchMatch } from "@cortex/sandbox/port";
import { z } from "zod";
import { ToolFailure } from "../errors.ts";
import { defineTool } from "../tool.ts";

const defaultMatches = 100;
const maxMatches = 500;

/** Characters of one line: enough to see what it is; read_file shows the rest. */
const maxLineChars = 300;

const lineOf = ({ path, line, text }: SearchMatch): string =>
  line === null || text === null ? path : `${path}:${line}: ${text.trim().slice(0, maxLineChars).toWellFormed()}`;

export const tool = defineTool({
  name: "search_files",
  title: "Search files",
  description:
    "Finds files of the workspace by name (glob), by content (text, taken literally, case counts), or by both. Answers with paths, and with " +
    "line numbers where text was given. Binary files and files above 5 MB are not searched for text; .git and node_modules are left out.",
  icon: "file-search",
  effect: "pure",
  schema: z.strictObject({
    text: z.string().min(1).max(1_000).optional().describe("What a line must contain. No regular expression."),
    glob: z
      .string()
      .min(1)
      .max(500)
      .optional()
      .describe("Pattern of the path below `path`: *.md is in that folder only, **/*.md anywhere below it."),
    path: z.string().optional().describe("The folder to search, inside /workspace. Default: the whole workspace."),
    limit: z.int().min(1).max(maxMatches).optional().describe(`Matches at most. Default ${defaultMatches}.`),
  }),
  timeoutMs: 60_000,
  maxResultChars: 60_000,
  execute: async ({ text, glob, path = "", limit = defaultMatches }, { openSandbox, signal }) => {
    if (text === undefined && glob === undefined) throw new ToolFailure("Give text, glob, or both.");
    if (text?.includes("\n"))
      throw new ToolFailure("text is looked for in single lines; it must not hold a line break.");
    const folder = parseWorkspacePath(path);
    const { files } = await openSandbox();
    const query = {
      path: folder,
      limit,
      ...(text === undefined ? {} : { text }),
      ...(glob === undefined ? {} : { glob }),
    };
    const { matches, truncated } = await files.search(query, signal);
    if (matches.length === 0)
      return truncated ? "Nothing was found as far as was searched: take a smaller folder." : "Nothing was found.";
    const note = truncated ? [`[There may be more than these ${matches.length}. Narrow the search.]`] : [];
    return [...matches.map(lineOf), ...note].join("\n");
  },
});
