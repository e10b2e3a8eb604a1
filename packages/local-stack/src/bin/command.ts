import { existsSync } from "node:fs";
import { join } from "node:path";
import { readSettings, type StackSettings } from "../settings.ts";
import { StackError } from "../stack-error.ts";
import { interruption } from "../supervision/interruption.ts";
import { chooseStyle, type Style } from "../terminal/style.ts";

/** What every command of the stack has: where it is, what is set, where it writes, and when to stop. */
export type Command = {
  /** the checkout */
  root: string;
  settings: StackSettings;
  environment: NodeJS.ProcessEnv;
  style: Style;
  write: (text: string) => void;
  signal: AbortSignal;
};

const root = join(import.meta.dirname, "../../../..");

/**
 * Runs a command and ends the process with its exit code. Settings are environment variables, also from a file `.env` in the
 * checkout. A `StackError` is one sentence on stderr and exit code 1, as is an interruption unless `interruptedCode` says else.
 */
export async function runCommand(
  options: { interruptedCode: number },
  work: (command: Command) => Promise<number>,
): Promise<void> {
  const style = chooseStyle({ isTerminal: process.stdout.isTTY, noColor: process.env["NO_COLOR"] });
  const signal = interruption({ underNpm: process.env["npm_lifecycle_event"] !== undefined });
  process.stdout.on("error", () => {}); // a reader that left (`npm start | head`) is no reason to crash
  try {
    const dotEnv = join(root, ".env");
    if (existsSync(dotEnv)) process.loadEnvFile(dotEnv);
    const settings = readSettings(process.env, { root, cwd: process.env["INIT_CWD"] ?? process.cwd() });
    const write = (text: string): void => void process.stdout.write(text);
    const code = await work({ root, settings, environment: process.env, style, write, signal });
    process.exit(signal.aborted ? options.interruptedCode : code);
  } catch (error) {
    if (signal.aborted) process.exit(options.interruptedCode);
    const text =
      error instanceof StackError ? style.red(error.message) : error instanceof Error ? error.stack : String(error);
    process.stderr.write(`${text ?? "unknown error"}\n`);
    process.exit(1);
  }
}
