import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { eventually } from "@cortex/testing";
import { expect, onTestFinished, test } from "vitest";

const script = fileURLToPath(new URL("testing/doomed-process.ts", import.meta.url));

interface Doomed {
  child: ChildProcess;
  output: () => string;
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

const start = async (accident: string): Promise<Doomed> => {
  const child = spawn(process.execPath, [script, accident], { env: {}, stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (output += piece.toString()));
  const ended = once(child, "exit").then(() => ({ code: child.exitCode, signal: child.signalCode }));
  await eventually(() => output.includes('"up"'), { timeoutMs: 15_000 });
  return { child, output: () => output, ended };
};

test("a process whose event loop is blocked is ended by its watching thread, which says so", async () => {
  const { ended, output } = await start("blocks");
  expect(await ended).toEqual({ code: null, signal: "SIGKILL" });
  expect(output()).toContain("the event loop is blocked");
});

test("a process that was stopped as a whole is not taken for a blocked one, and says that it stood still", async () => {
  const { child, ended, output } = await start("lives");
  child.kill("SIGSTOP");
  const stoppedAt = performance.now();
  await eventually(() => performance.now() - stoppedAt > 2_500);
  child.kill("SIGCONT");
  await eventually(() => output().includes("stood still"), { timeoutMs: 10_000 });
  child.kill("SIGTERM");
  child.kill("SIGINT");
  child.kill("SIGTERM");
  expect(await ended).toEqual({ code: 0, signal: null });
});

test.each([
  ["throws", "uncaught error"],
  ["rejects", "unhandled rejection"],
])("a process that %s ends with 1, however long its closers would take", async (accident, line) => {
  const { ended, output } = await start(accident);
  expect(await ended).toEqual({ code: 1, signal: null });
  expect(output()).toContain(line);
  expect(output()).toContain("an accident");
});

test("a process that gives itself up closes what it has and ends with 1", async () => {
  const { ended, output } = await start("gives up");
  expect(await ended).toEqual({ code: 1, signal: null });
  expect(output()).toContain("it is of no use");
});
