import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The checkout. */
const root = fileURLToPath(new URL("..", import.meta.url));

/** Starts a script of this checkout; its errors are ours. */
export const startScript = (script: string, args: string[], env: Record<string, string>): ChildProcess =>
  spawn(process.execPath, [script, ...args], {
    cwd: root,
    env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });

/** Resolves with the first line of its output that fits; rejects if it ends or takes too long. */
export const saidLine = async (child: ChildProcess, pattern: RegExp, timeoutMs: number): Promise<string> => {
  const output = child.stdout;
  if (!output) throw new Error("no output to read");
  output.setEncoding("utf8");
  let all = "";
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not said within ${timeoutMs} ms: ${pattern}\n${all}`)), timeoutMs);
    child.once("exit", (code) => reject(new Error(`ended with ${code} before it said ${pattern}\n${all}`)));
    output.on("data", (text: string) => {
      all += text;
      const line = all.split("\n").find((one) => pattern.test(one));
      if (line === undefined) return;
      clearTimeout(timer);
      resolve(line);
    });
  });
};

/** Asks a process to end and waits until it has. */
export const stopScript = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
};

/** Resident memory of a process in megabytes; Linux only, null elsewhere. */
export const residentMb = (pid: number): number | null => {
  try {
    const match = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return match ? Number(match[1]) / 1024 : null;
  } catch {
    return null; // no /proc, or the process has gone: there is no figure
  }
};
