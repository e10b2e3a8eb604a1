import { z } from "zod";
import { defineTool } from "../tool.ts";

const marks = { open: "[ ]", in_progress: "[~]", done: "[x]", cancelled: "[-]" } as const;

/**
 * The whole list in each call and each result: the conversation is its only place, so it is as durable as that, is shown to people beside
 * the call, and no two versions can disagree.
 */
export const tool = defineTool({
  name: "task_list",
  title: "Task list",
  description:
    "Keeps your plan for a task of several steps, visible to the user. Give the whole list each time, as it is to be from now on; write it before you " +
    "begin and again whenever a state changes. One task at most is in progress. Not for what takes one or two steps.",
  icon: "list-checks",
  effect: "pure",
  parallel: false,
  schema: z
    .strictObject({
      tasks: z
        .array(
          z.strictObject({
            title: z.string().trim().min(1).max(500).describe("What is to be done, in one sentence."),
            state: z.enum(["open", "in_progress", "done", "cancelled"]),
          }),
        )
        .min(1)
        .max(100),
    })
    .refine(({ tasks }) => tasks.filter((task) => task.state === "in_progress").length <= 1, {
      path: ["tasks"],
      message: "one task at most may be in progress",
    }),
  timeoutMs: 5_000,
  maxResultChars: 60_000,
  execute: async ({ tasks }) => {
    const finished = tasks.filter((task) => task.state === "done" || task.state === "cancelled").length;
    const lines = tasks.map((task) => `${marks[task.state]} ${task.title.replaceAll(/\s+/g, " ")}`);
    return [`${finished} of ${tasks.length} tasks are finished.`, ...lines].join("\n");
  },
});
