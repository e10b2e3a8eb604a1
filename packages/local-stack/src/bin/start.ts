import { relative } from "node:path";
import { ask } from "../demo/ask.ts";
import { StackError } from "../stack-error.ts";
import type { StackFile } from "../stack/stack-file.ts";
import { startStack } from "../stack/start-stack.ts";
import { createProgress } from "../terminal/progress.ts";
import { createRunView } from "../terminal/run-view.ts";
import { type Command, runCommand } from "./command.ts";

/*
 * `npm start`: the whole stack on this machine, one sample run (not with `--no-sample`), and then it stays until Ctrl-C
 * (exit code 0).
 */

const SAMPLE_QUESTION = "What is 5 + 10, then multiply by 3?";

await runCommand({ interruptedCode: 0 }, async (command) => {
  const { root, settings, environment, style, write, signal } = command;
  const { sample } = readArguments(process.argv.slice(2));
  const fromRoot = relative(root, settings.home);
  const home = fromRoot.startsWith("..") ? settings.home : fromRoot;
  write(`${style.bold("Cortex")} starts, with its data in ${home}\n`);
  const stack = await startStack({ root, settings, environment, progress: createProgress(write, style), signal });
  try {
    write("cortex ready\n\n");
    const file = stack.describe();
    if (sample && file.demo_user !== null) await sampleRun(command, file);
    write(addresses(command, file));
    await interrupted(signal);
    write("\nstopping …\n");
  } finally {
    await stack.stop();
  }
  write(`stopped; the data stays in ${home}\n`);
  return 0;
});

function readArguments(given: string[]): { sample: boolean } {
  const unknown = given.find((argument) => argument !== "--no-sample");
  if (unknown !== undefined) {
    const known = "only --no-sample; settings are environment variables";
    throw new StackError("bad_setting", `npm start knows no "${unknown}", ${known}.`);
  }
  return { sample: !given.includes("--no-sample") };
}

/** It shows that everything works; when it does not, that is said and the stack stays up. */
async function sampleRun({ style, write, signal }: Command, file: StackFile): Promise<void> {
  write(`${style.bold("A sample run:")} ${SAMPLE_QUESTION}\n`);
  try {
    await ask({ stack: file, question: SAMPLE_QUESTION, view: createRunView(write, style), somebody: null, signal });
  } catch (error) {
    if (signal.aborted) return;
    write(style.red(`  The sample run failed: ${error instanceof Error ? error.message : String(error)}\n`));
  }
  write("\n");
}

function addresses({ style }: Command, file: StackFile): string {
  const rows: [name: string, value: string][] = [
    ["API", `${file.api_url}  (documentation: ${file.api_url}/docs)`],
    ["Console", file.web_url ?? "not there yet"],
    ["Previews", file.preview_url ?? "none"],
    ["Auth", file.supabase_url],
    ["Demo login", file.demo_user === null ? "none" : `${file.demo_user.email}  ${file.demo_user.password}`],
    ["Try", 'npm run demo -- "What is 7 + 8, then multiply by 4?"'],
  ];
  const lines = rows.map(([name, value]) => `  ${style.bold(name.padEnd(12))}${value}\n`);
  return `${lines.join("")}Ctrl-C stops everything.\n`;
}

function interrupted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
