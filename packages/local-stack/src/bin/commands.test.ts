import { existsSync } from "node:fs";
import { join } from "node:path";
import { createTestFolder, eventually } from "@cortex/testing";
import { expect, test } from "vitest";
import { isAlive } from "../process/liveness.ts";
import { readStackFile } from "../stack/stack-file.ts";
import { runCommandLine } from "../testing/run-command.ts";
import { freePorts } from "../testing/stub-checkout.ts";

/*
 * The two commands as a newcomer runs them, with the real applications. One stack serves several tests of this file, because
 * its first start is what takes time.
 */

/** A first start is below 90 s on a bare machine (README); here nothing is fetched, and two cores are shared. */
const START_MS = 60_000;

const PATH = process.env["PATH"] ?? "";

async function freshStack(): Promise<{ home: string; environment: Record<string, string> }> {
  const home = join(createTestFolder(), "home");
  return { home, environment: { ...(await freePorts()), PATH, CORTEX_HOME: home } };
}

test(
  "start: ready, a sample run, a question from the side, a refusal for a second one, and a quick clean end",
  { timeout: 2 * START_MS },
  async () => {
    const { home, environment } = await freshStack();
    const start = runCommandLine("start", [], environment);
    await start.says("cortex ready\n", START_MS);
    const file = readStackFile(home);
    expect(file?.processes.length).toBeGreaterThanOrEqual(6);

    await start.says("Ctrl-C stops everything", 15_000);
    expect(start.output()).toMatch(/> calculator .*5 \+ 10[\s\S]*= 15 [\s\S]*= 45 [\s\S]*completed in/);
    expect(start.output()).toContain(`${file?.demo_user?.email}  ${file?.demo_user?.password}`);

    const demo = runCommandLine("demo", ["What is 7 + 8, then multiply by 4?"], environment);
    expect([await demo.ended, demo.output()]).toEqual([0, expect.stringMatching(/= 15 [\s\S]*= 60 [\s\S]*completed/)]);

    const broken = runCommandLine("demo", ["[[fail=401]]"], environment);
    expect([await broken.ended, broken.output()]).toEqual([1, expect.stringContaining("model_auth")]);

    const failing = runCommandLine("demo", ['[[tool=calculator {"expression":"1 / 0"}]]'], environment);
    expect([await failing.ended, failing.output()]).toEqual([1, expect.stringContaining("calculator failed")]);

    const second = runCommandLine("start", [], environment);
    expect([await second.ended, second.output()]).toEqual([
      1,
      expect.stringMatching(/^Cortex starts.*\nCortex already runs on .*Ctrl-C.*\n$/),
    ]);

    const asked = performance.now();
    start.signal("SIGINT");
    expect(await start.ended).toBe(0);
    expect(performance.now() - asked).toBeLessThan(5_000);
    expect(existsSync(join(home, "stack.json"))).toBe(false);
    await eventually(() => file?.processes.every(({ pid }) => !isAlive(pid)));
  },
);

test("demo alone: brings a stack up, asks, and takes it down again", { timeout: 2 * START_MS }, async () => {
  const { home, environment } = await freshStack();
  const demo = runCommandLine("demo", [], environment);
  expect([await demo.ended, demo.output()]).toEqual([0, expect.stringMatching(/worker-1[\s\S]*= 45 [\s\S]*completed/)]);
  expect(existsSync(join(home, "stack.json"))).toBe(false);
  expect(existsSync(join(home, "postgres/postmaster.pid"))).toBe(false);
});

test("Ctrl-C while it starts leaves nothing", { timeout: START_MS }, async () => {
  const { home, environment } = await freshStack();
  const start = runCommandLine("start", [], environment);
  await start.says("database", START_MS);
  start.signal("SIGINT");
  expect(await start.ended).toBe(0);
  expect(start.output()).not.toContain("cortex ready");
  expect(existsSync(join(home, "postgres/postmaster.pid"))).toBe(false);
  expect(existsSync(join(home, "stack.lock"))).toBe(false);
});

test.each([
  ["start", [], { API_PORT: "eighty" }, 'API_PORT must be a whole number from 1 to 65535, not "eighty".\n'],
  ["start", ["--now"], {}, 'npm start knows no "--now", only --no-sample; settings are environment variables.\n'],
  ["demo", [], { WORKERS: "none" }, 'WORKERS must be a whole number from 1 to 64, not "none".\n'],
] as const)("%s %j with %j: one sentence, exit code 1", async (command, args, environment, sentence) => {
  const run = runCommandLine(command, [...args], {
    ...environment,
    PATH,
    CORTEX_HOME: join(createTestFolder(), "home"),
  });
  expect([await run.ended, run.output()]).toEqual([1, sentence]);
});
