import { z } from "zod";
import { reportText } from "../background/process-text.ts";
import { killProcess, processIdPattern } from "../background/processes.ts";
import { defineTool } from "../tool.ts";

/** Idempotent: an id is never given twice, so a repetition finds it ended. */
export const tool = defineTool({
  name: "kill_process",
  title: "Kill process",
  description:
    "Ends a process of start_process with everything that it started: asks it to end, and after 3 seconds makes it. Answers with its last output.",
  icon: "circle-stop",
  effect: "idempotent",
  parallel: false,
  schema: z.strictObject({
    process: z.string().regex(processIdPattern).describe("Its id, as start_process answered it: p-0123abcd."),
  }),
  timeoutMs: 120_000,
  maxResultChars: 25_000,
  execute: async ({ process }, { openSandbox, idempotencyKey, signal }) => {
    const sandbox = await openSandbox();
    return reportText(await killProcess(sandbox, { id: process, callKey: idempotencyKey }, signal));
  },
});
