import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { eventually } from "@cortex/testing";
import { onTestFinished } from "vitest";

export interface StartedApi {
  process: ChildProcess;
  output: () => string;
  /** What it has logged. */
  lines: () => Record<string, unknown>[];
  ended: Promise<number | null>;
}

const main = fileURLToPath(new URL("../main.ts", import.meta.url));
/** As in docker/Dockerfile and the local stack. */
const flags = ["--max-semi-space-size=16"];

/** The process as it is deployed, with this environment and nothing else. Ends with the test. */
export const startApiProcess = (env: Record<string, string>): StartedApi => {
  const child = spawn(process.execPath, [...flags, main], { env, stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (output += piece.toString()));
  const ended = new Promise<number | null>((resolve) => {
    child.once("exit", resolve);
  });
  const lines = () =>
    output
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { process: child, output: () => output, lines, ended };
};

/** When it listens. */
export const addressOf = async ({ lines }: StartedApi): Promise<string> => {
  const ready = await eventually(() => lines().find((line) => line["msg"] === "api ready"), { timeoutMs: 15_000 });
  return `http://127.0.0.1:${String(ready["port"])}`;
};

/** What the process holds in memory, in MB; null where the system does not tell in this way. */
export const residentMb = ({ process: { pid } }: StartedApi): number | null => {
  if (process.platform !== "linux") return null;
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) / 1_024;
};
