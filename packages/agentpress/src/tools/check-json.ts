import { z } from "zod";
import { inThread } from "../library/in-thread.ts";
import { readSource, sourceFields } from "../library/source.ts";
import { defineTool } from "../tool.ts";

export const tool = defineTool({
  name: "check_json",
  title: "Check JSON",
  description:
    "Says whether a text is JSON and where it is not, and with a JSON Schema (draft 2020-12) whether it fits and what does not.",
  icon: "badge-check",
  effect: "pure",
  schema: z.strictObject({
    ...sourceFields,
    schema: z.record(z.string(), z.unknown()).optional().describe("The JSON Schema. Default: anything fits."),
  }),
  timeoutMs: 60_000,
  maxResultChars: 20_000,
  execute: async ({ schema = {}, ...source }, context) => {
    const problems = await inThread("checkJson", { text: await readSource(source, context), schema }, context.signal);
    return problems.length === 0 ? "It is valid." : { content: problems.join("\n"), isError: true };
  },
});
