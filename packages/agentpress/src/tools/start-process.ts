import { workspaceRoot } from "@cortex/sandbox/port";
import { z } from "zod";
import { reportText } from "../background/process-text.ts";
import { processIdOf, startProcess } from "../background/processes.ts";
import { defineTool } from "../tool.ts";

/** What ends at once (a mistyped command, a port that is taken) is to be seen in this very answer. */
const firstLookMs = 1_000;

export const tool = defineTool({
  name: "start_process",
  title: "Start process",
  description:
    "Starts a shell command (bash) in the background of the sandbox, for what goes on: servers, watchers, long builds. Answers at once with " +
    "the process's id and its first output; look again with check_process, end it with kill_process. It lives on between calls and runs, " +
    "until it ends, is killed, or the sandbox is stopped. Its newest output is kept. No input can be given.",
  icon: "circle-play",
  effect: "once",
  parallel: false,
  schema: z.strictObject({
    command: z.string().min(1).max(100_000).describe("The command line."),
    cwd: z.string().optional().describe(`Folder to start in, inside ${workspaceRoot}.`),
  }),
  timeoutMs: 150_000,
  maxResultChars: 25_000,
  execute: async ({ command, cwd }, { openSandbox, idempotencyKey, signal }) => {
    const sandbox = await openSandbox();
    const id = processIdOf(idempotencyKey);
    const input = { id, command, cwd, callKey: idempotencyKey, waitMs: firstLookMs };
    return reportText(await startProcess(sandbox, input, signal));
  },
});
