import { z } from "zod";
import { defineTool } from "../tool.ts";

export const tool = defineTool({
  name: "complete",
  title: "Complete the task",
  description:
    "Says that the whole task is done and ends your turn. Call it once, alone, after everything else has succeeded; " +
    "not for a conversation, where a plain answer is enough.",
  icon: "circle-check",
  effect: "pure",
  parallel: false,
  endsRun: true,
  schema: z.strictObject({
    summary: z.string().max(10_000).optional().describe("What was done, for the user."),
    attachments: z
      .array(z.string().min(1).max(4_000))
      .max(50)
      .optional()
      .describe("Paths of the files that are the result."),
  }),
  timeoutMs: 5_000,
  maxResultChars: 1_000,
  execute: async () => "The task is marked as complete.",
});
