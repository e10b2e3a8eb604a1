import { spawn } from "node:child_process";
import { join } from "node:path";
import { eventually } from "@cortex/testing";
import { onTestFinished } from "vitest";

export type RunningCommand = {
  /** all of stdout and stderr so far */
  output: () => string;
  signal: (name: NodeJS.Signals) => void;
  /** the exit code */
  ended: Promise<number | null>;
  /** waits for a text in the output; fails at once when the command ends before */
  says: (text: string, timeoutMs: number) => Promise<void>;
};

/** Empty counts as unset, and keeps a developer's own `.env` (a model key, a real project) out of the tests. */
const ownServicesOnly = {
  DATABASE_URL: "",
  REDIS_URL: "",
  SUPABASE_URL: "",
  OPENAI_API_KEY: "",
  LITELLM_BASE_URL: "",
  LITELLM_API_KEY: "",
  DEFAULT_MODEL: "",
  MODELS: "",
};

/** Runs a command of the stack (`start`, `demo`) like npm does, as a process; it ends with the test at the latest. */
export function runCommandLine(...args: Parameters<typeof startCommandLine>): RunningCommand {
  const command = startCommandLine(...args);
  onTestFinished(async () => {
    command.signal("SIGTERM");
    await command.ended;
  });
  return command;
}

/** The same for a command that serves several tests; whoever starts it ends it. */
export function startCommandLine(
  command: "start" | "demo",
  args: string[],
  environment: Record<string, string | undefined>,
): RunningCommand {
  const script = join(import.meta.dirname, "../bin", `${command}.ts`);
  const child = spawn(process.execPath, [script, ...args], {
    env: { ...ownServicesOnly, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  let over = false;
  const ended = new Promise<number | null>((resolve) => {
    child.once("close", (code) => {
      over = true;
      resolve(code);
    });
  });
  return {
    output: () => output,
    signal: (name) => void child.kill(name),
    ended,
    says: async (text, timeoutMs) => {
      await eventually(() => output.includes(text) || over, { timeoutMs });
      if (!output.includes(text)) throw new Error(`it ended without saying "${text}":\n${output}`);
    },
  };
}
