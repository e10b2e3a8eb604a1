import { z } from "zod";
import { reportText } from "../background/process-text.ts";
import { checkProcess, processIdPattern } from "../background/processes.ts";
import { defineTool } from "../tool.ts";

const maxWaitSeconds = 60;

/** Idempotent: what a call has seen it sees again when it is repeated, so no output is lost with a worker. */
export const tool = defineTool({
  name: "check_process",
  title: "Check process",
  description:
    "Answers how it stands with a process of start_process (running, or its exit code) and what it has printed since the last look. " +
    "With wait_seconds it waits for new output or the end.",
  icon: "activity",
  effect: "idempotent",
  parallel: false,
  polls: true,
  schema: z.strictObject({
    process: z.string().regex(processIdPattern).describe("Its id, as start_process answered it: p-0123abcd."),
    wait_seconds: z.number().min(0).max(maxWaitSeconds).optional().describe("How long to wait, at most. Default 0."),
  }),
  timeoutMs: (maxWaitSeconds + 120) * 1_000,
  maxResultChars: 25_000,
  execute: async ({ process, wait_seconds = 0 }, { openSandbox, idempotencyKey, signal }) => {
    const sandbox = await openSandbox();
    const input = { id: process, callKey: idempotencyKey, waitMs: wait_seconds * 1_000 };
    return reportText(await checkProcess(sandbox, input, signal));
  },
});
