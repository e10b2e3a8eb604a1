import { fstatSync } from "node:fs";
import { startDemoModel } from "../demo-model/demo-model.ts";

/**
 * The demo model as a process of its own: `node packages/local-stack/src/bin/demo-model.ts`.
 *
 * Environment: `DEMO_MODEL_PORT` (default 4010; 0 lets the system choose), `DEMO_MODEL_API_KEY` (default: any key is good),
 * `DEMO_MODEL_DELAY_MS` between chunks (default 0). When it listens it prints one line, `demo model ready <base url>`, and sends
 * `{type: "ready", url, port}` to a parent with an IPC channel. It ends on SIGTERM and SIGINT, and when its parent dies.
 */
const DEFAULT_PORT = 4010;

function wholeNumber(name: string, fallback: number, high: number): number {
  const text = process.env[name] ?? "";
  if (text === "") return fallback;
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= high) return value;
  throw new Error(`${name} must be a whole number from 0 to ${high}, not '${text}'.`);
}

/** Calls back when the parent is gone: its IPC channel or its end of our stdin closes, even if it was killed. */
function whenParentEnds(end: () => void): void {
  if (process.connected) process.once("disconnect", end);
  const stdin = fstatSync(0);
  // A terminal or /dev/null (a service, `nohup`) is no parent's end: there, the end of input means nothing.
  if (!stdin.isFIFO() && !stdin.isSocket()) return;
  process.stdin.once("end", end).once("close", end).once("error", end).resume();
}

async function main(): Promise<void> {
  const apiKey = process.env["DEMO_MODEL_API_KEY"] ?? "";
  const model = await startDemoModel({
    port: wholeNumber("DEMO_MODEL_PORT", DEFAULT_PORT, 65_535),
    delayMs: wholeNumber("DEMO_MODEL_DELAY_MS", 0, 60_000),
    apiKey: apiKey === "" ? null : apiKey,
  });
  let ending = false;
  const end = (): void => {
    if (ending) return;
    ending = true;
    void model.close().then(() => process.exit(0));
  };
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
  whenParentEnds(end);
  console.log(`demo model ready ${model.url}`);
  process.send?.({ type: "ready", url: model.url, port: model.port });
}

try {
  await main();
} catch (error) {
  console.error(`The demo model could not start: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
}
