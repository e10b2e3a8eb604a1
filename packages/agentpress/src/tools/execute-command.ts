import { type ExecResult, type Sandbox, workspaceRoot } from "@cortex/sandbox/port";
import { z } from "zod";
import { maxKeptBytes, outputPath, whereToReadOn, removeOldOutputs } from "../kept-result.ts";
import { shorten, withoutParent } from "../storable.ts";
import { defineTool } from "../tool.ts";

const defaultTimeoutSeconds = 110;
const maxTimeoutSeconds = 600;

/** Above `maxTimeoutSeconds`, by the time a sandbox may take to start: the command's own limit is first, and its output is kept. */
const toolTimeoutMs = (maxTimeoutSeconds + 90) * 1_000;

/** Characters of each stream that the model reads. Two of them and the rest stay below `maxResultChars`. */
const maxStreamChars = 20_000;

/** Bytes that leave the sandbox; the model reads less, a follower sees this much live. */
const maxOutputBytes = 1024 * 1024;

const report = (result: ExecResult, timeoutSeconds: number, where: string | null): string => {
  const parts: string[] = [];
  if (result.stdout !== "") parts.push(shorten(result.stdout.trimEnd(), maxStreamChars, where));
  if (result.stderr !== "") parts.push(`[stderr]\n${shorten(result.stderr.trimEnd(), maxStreamChars, where)}`);
  if (parts.length === 0) parts.push("[no output]");
  if (result.timedOut) parts.push(`[killed after ${timeoutSeconds} s]`);
  parts.push(`[exit code ${result.exitCode}]`);
  return withoutParent(parts.join("\n"));
};

/** Where the rest of the output is; nothing if the model has seen all of it. */
const whereKept = async (sandbox: Sandbox, result: ExecResult, signal: AbortSignal): Promise<string | null> => {
  const { kept } = result;
  if (kept === null) return null;
  const { stdout, stderr, truncated } = result;
  if (truncated || stdout.trimEnd().length > maxStreamChars || stderr.trimEnd().length > maxStreamChars) {
    await removeOldOutputs(sandbox.files, signal);
    return whereToReadOn(kept.path, kept.complete);
  }
  await sandbox.files.remove(kept.path, {}, signal);
  return null;
};

export const tool = defineTool({
  name: "execute_command",
  title: "Run command",
  description:
    `Runs a shell command (bash) in the sandbox and answers with its output and exit code. It starts in ${workspaceRoot}; ` +
    "nothing is kept between calls but files. No input can be given while it runs. What is to go on after the call (a server) belongs into start_process.",
  icon: "square-terminal",
  effect: "once",
  parallel: false,
  schema: z.strictObject({
    command: z.string().min(1).max(100_000).describe("The command line."),
    cwd: z.string().optional().describe("Folder to start in, inside /workspace."),
    timeout_seconds: z
      .int()
      .min(1)
      .max(maxTimeoutSeconds)
      .optional()
      .describe(`When it is killed. Default ${defaultTimeoutSeconds}, at most ${maxTimeoutSeconds}.`),
  }),
  timeoutMs: toolTimeoutMs,
  maxResultChars: 50_000,
  execute: async ({ command, cwd, timeout_seconds = defaultTimeoutSeconds }, context) => {
    const { output, signal } = context;
    const sandbox = await context.openSandbox();
    const result = await sandbox.exec(
      {
        command,
        ...(cwd === undefined ? {} : { cwd }),
        timeoutMs: timeout_seconds * 1_000,
        maxOutputBytes,
        keep: {
          path: outputPath(context.runId, context.toolCallId),
          aboveBytes: maxStreamChars,
          maxBytes: maxKeptBytes,
        },
        onOutput: (chunk) => output(chunk.text),
      },
      signal,
    );
    const where = await whereKept(sandbox, result, signal);
    return { content: report(result, timeout_seconds, where), isError: result.exitCode !== 0 };
  },
});
