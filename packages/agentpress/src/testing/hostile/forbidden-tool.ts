import type { ToolApproval } from "@cortex/contracts";
import { z } from "zod";
import { defineTool, type Tool } from "../../tool.ts";

export interface ForbiddenTool {
  tool: Tool;
  /** With what it has acted, call by call. */
  acted: { id: string; target: string }[];
}

/** A tool that a hostile model wants to act, and that is held back by who may use it, and when. */
export const forbiddenTool = (approval: ToolApproval = "never"): ForbiddenTool => {
  const acted: ForbiddenTool["acted"] = [];
  const tool = defineTool({
    name: "launch",
    title: "Launch",
    description: "Launches.",
    effect: "once",
    approval,
    schema: z.strictObject({ target: z.string() }),
    timeoutMs: 1_000,
    maxResultChars: 1_000,
    execute: async ({ target }, { toolCallId }) => {
      acted.push({ id: toolCallId, target });
      return `launched at ${target}`;
    },
  });
  return { tool, acted };
};

/** A tool that repeats what it is given, as a page or a file would whose author knows how we work. */
export const echo = defineTool({
  name: "echo",
  title: "Echo",
  description: "Repeats.",
  effect: "pure",
  untrusted: true,
  schema: z.looseObject({}),
  timeoutMs: 1_000,
  maxResultChars: 10_000,
  execute: async ({ text }) => String(text),
});
