import type { ToolContext, ToolOutcome } from "../tool-context.ts";
import type { Tool } from "../tool.ts";

/** One call of a tool, with as much of a context as the test gives it. */
export const useTool = (tool: Tool, args: unknown, context: Partial<ToolContext> = {}): Promise<ToolOutcome> =>
  tool.call(args, {
    signal: new AbortController().signal,
    runId: "run",
    toolCallId: "call",
    idempotencyKey: "run:call",
    output: async () => undefined,
    openSandbox: async () => {
      throw new Error("no sandbox here");
    },
    now: () => new Date(),
    ...context,
  });
