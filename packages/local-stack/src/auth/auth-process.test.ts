import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createTestDatabase, createTestFolder, eventually, type TestDatabase } from "@cortex/testing";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";

const BIN = join(import.meta.dirname, "../bin/auth.ts");

let database: TestDatabase;
const children: ChildProcess[] = [];
beforeAll(async () => {
  database = await createTestDatabase();
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});
afterAll(() => database.drop());

interface Running {
  child: ChildProcess;
  /** Standard output and error so far. */
  output: () => string;
  exit: Promise<number | null>;
}

function run(environment: Record<string, string>, ipc = false): Running {
  const child = spawn(process.execPath, [BIN], {
    env: {
      PATH: process.env["PATH"],
      AUTH_DATABASE_URL: database.ownerUrl,
      SUPABASE_PORT: "0",
      CORTEX_HOME: createTestFolder(),
      ...environment,
    },
    stdio: ["pipe", "pipe", "pipe", ...(ipc ? (["ipc"] as const) : [])],
  });
  children.push(child);
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const exit = once(child, "exit").then(([code]) => code as number | null);
  return { child, output: () => text, exit };
}

const urlOf = (running: Running) =>
  eventually(() => /^auth ready (http:\S+)$/m.exec(running.output())?.[1], { timeoutMs: 15_000 });

test("it says where it is ready, answers, rotates on SIGUSR2, and ends cleanly on SIGTERM", async () => {
  const running = run({});
  const url = await urlOf(running);
  const kids = async () => {
    const response = await fetch(`${url}/auth/v1/.well-known/jwks.json`);
    return ((await response.json()) as { keys: object[] }).keys.length;
  };
  expect(await kids()).toBe(1);
  running.child.kill("SIGUSR2");
  await eventually(async () => (await kids()) === 2);
  running.child.kill("SIGTERM");
  expect(await running.exit).toBe(0);
});

test("it tells a parent with an IPC channel its keys, and ends when the channel closes", async () => {
  const running = run({}, true);
  const [message] = (await once(running.child, "message")) as [Record<string, string>];
  expect(message).toMatchObject({ type: "ready", url: await urlOf(running) });
  expect(message["publishableKey"]).toMatch(/^sb_publishable_/);
  expect(message["secretKey"]).toMatch(/^sb_secret_/);
  running.child.disconnect();
  expect(await running.exit).toBe(0);
});

test("it ends when its parent's end of the pipe closes", async () => {
  const running = run({});
  await urlOf(running);
  running.child.stdin?.end();
  expect(await running.exit).toBe(0);
});

test.each([
  ["production", { NODE_ENV: "production" }, /does not run with NODE_ENV=production/],
  ["a nonsense port", { SUPABASE_PORT: "many" }, /SUPABASE_PORT/],
  ["no database", { AUTH_DATABASE_URL: "" }, /AUTH_DATABASE_URL/],
])("with %s it says one sentence and exits with 1", async (_what, environment: Record<string, string>, sentence) => {
  const running = run(environment);
  expect(await running.exit).toBe(1);
  await eventually(() => sentence.test(running.output()));
  expect(running.output().trim().split("\n")).toHaveLength(1);
});
