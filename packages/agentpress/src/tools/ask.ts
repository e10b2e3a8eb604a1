import { z } from "zod";
import { defineTool } from "../tool.ts";

export const tool = defineTool({
  name: "ask",
  title: "Ask the user",
  description:
    "Puts a question to the user and ends your turn; the answer comes as the user's next message. " +
    "Use it only when you cannot go on without a decision or a fact that only the user has.",
  icon: "message-circle-question",
  effect: "pure",
  parallel: false,
  endsRun: true,
  schema: z.strictObject({
    question: z.string().trim().min(1).max(10_000).describe("The question, complete in itself."),
    options: z
      .array(z.string().min(1).max(500))
      .max(10)
      .optional()
      .describe("Answers to choose from, if there are any."),
  }),
  timeoutMs: 5_000,
  maxResultChars: 1_000,
  execute: async () => "The question was put to the user.",
});
