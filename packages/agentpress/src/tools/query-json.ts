import { z } from "zod";
import { ToolFailure } from "../errors.ts";
import { inThread } from "../library/in-thread.ts";
import { readSource, sourceFields } from "../library/source.ts";
import { defineTool } from "../tool.ts";

export const tool = defineTool({
  name: "query_json",
  title: "Query JSON",
  description:
    "Takes a part out of JSON: by a JSON Pointer (/items/0/name), by a JMESPath expression (items[?price > `10`].name), or by the expression " +
    "within what the pointer names. Answers with JSON.",
  icon: "braces",
  effect: "pure",
  schema: z.strictObject({
    ...sourceFields,
    pointer: z.string().max(10_000).optional().describe("JSON Pointer. Empty: everything."),
    query: z.string().min(1).max(10_000).optional().describe("JMESPath."),
  }),
  timeoutMs: 60_000,
  maxResultChars: 50_000,
  execute: async ({ pointer = null, query = null, ...source }, context) => {
    if (pointer === null && query === null) throw new ToolFailure("Give pointer, query, or both.");
    return inThread("queryJson", { text: await readSource(source, context), pointer, query }, context.signal);
  },
});
