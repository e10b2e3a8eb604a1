import { z } from "zod";
import { stateText } from "../background/process-text.ts";
import { listProcesses } from "../background/processes.ts";
import { defineTool } from "../tool.ts";

export const tool = defineTool({
  name: "list_processes",
  title: "List processes",
  description: "Lists the processes that start_process has started, those that have ended included, the newest first.",
  icon: "list-tree",
  effect: "pure",
  polls: true,
  schema: z.strictObject({}),
  timeoutMs: 120_000,
  maxResultChars: 25_000,
  execute: async (_, { openSandbox, signal }) => {
    const processes = await listProcesses(await openSandbox(), signal);
    if (processes.length === 0) return "No process has been started.";
    return processes
      .map((one) => `${one.id}  ${stateText(one)}, started ${one.ageSeconds} s ago: ${one.command}`)
      .join("\n");
  },
});
