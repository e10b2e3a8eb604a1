import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { createClient } from "@supabase/supabase-js";
import { eventually, refusalOf } from "@cortex/testing";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { endProcess, isAlive } from "../process/liveness.ts";
import { silentProgress } from "../terminal/progress.ts";
import { createStubCheckout } from "../testing/stub-checkout.ts";
import { holderOf } from "./home-lock.ts";
import { readStackFile, type StackFile } from "./stack-file.ts";
import { type Stack, type StackDeps, startStack } from "./start-stack.ts";

const stub = await createStubCheckout();
const home = stub.settings.home;
const environment = { PATH: process.env["PATH"] };

function deps(more: Partial<StackDeps> = {}): StackDeps {
  return { ...stub, environment, progress: silentProgress, signal: AbortSignal.timeout(60_000), ...more };
}

async function start(more: Partial<StackDeps> = {}): Promise<Stack> {
  const stack = await startStack(deps(more));
  onTestFinished(() => stack.stop());
  return stack;
}

function pidOf(file: StackFile | null, name: string): number {
  const found = file?.processes.find((one) => one.name === name);
  if (found === undefined) throw new Error(`${name} does not run`);
  return found.pid;
}

async function signIn(file: StackFile): Promise<string> {
  if (file.demo_user === null || file.supabase_anon_key === null) throw new Error("no demo user");
  const client = createClient(file.supabase_url, file.supabase_anon_key, { auth: { persistSession: false } });
  const { data, error } = await client.auth.signInWithPassword(file.demo_user);
  if (error !== null) throw error;
  return data.user.id;
}

/** Nobody of this stack is left, and the folder is free. */
async function expectNothingLeft(file: StackFile): Promise<void> {
  await eventually(() => file.processes.every((one) => !isAlive(one.pid)), { timeoutMs: 8_000 });
  await eventually(() => holderOf(home) === null && !existsSync(join(home, "stack.json")));
}

let userOfFirstStart = "";

test("it comes up, says so in stack.json, and a stop leaves nothing but the data", async () => {
  const stack = await start();
  const file = readStackFile(home);
  expect(file).toEqual(stack.describe());
  expect(file?.processes.map((one) => one.name).sort()).toEqual([
    "api",
    "auth",
    "demo-model",
    "postgres",
    "redis",
    "worker-1",
  ]);
  userOfFirstStart = await signIn(stack.describe());
  const described = stack.describe();
  await stack.stop();
  await expectNothingLeft(described);
});

test("a second start keeps the data; while it runs, another is refused", async () => {
  const stack = await start({ settings: { ...stub.settings, workers: 2 } });
  expect(await signIn(stack.describe())).toBe(userOfFirstStart);
  expect(stack.describe().processes.map((one) => one.name)).toContain("worker-2");
  expect(await refusalOf(startStack(deps()))).toMatch(/^already_running: .*process \d+/);
  expect(readStackFile(home)).toEqual(stack.describe());
});

test("the roles of the applications are not the owner", async () => {
  const stack = await start();
  const client = new pg.Client({ connectionString: stack.describe().database_url });
  await client.connect();
  onTestFinished(() => client.end());
  const { rows } = await client.query(
    "select distinct usename from pg_stat_activity where backend_type = 'client backend' and application_name = '' order by 1",
  );
  expect(rows).toContainEqual({ usename: "cortex_worker" });
});

test("an application and a store that are killed come back, and stack.json follows", async () => {
  const stack = await start();
  const before = stack.describe();
  for (const name of ["api", "postgres"]) {
    await endProcess(pidOf(before, name), [{ signal: "SIGKILL", waitMs: 5_000 }]);
    await eventually(() => pidOf(readStackFile(home), name) !== pidOf(before, name), { timeoutMs: 15_000 });
  }
  await eventually(() => signIn(stack.describe()), { timeoutMs: 10_000 });
});

test("a taken port is said before anything starts", async () => {
  const other = createServer().listen(stub.settings.ports.api, "127.0.0.1");
  await once(other, "listening");
  onTestFinished(async () => {
    other.close();
    await once(other, "close");
  });
  expect(await refusalOf(startStack(deps()))).toMatch(/^port_taken: .*API_PORT/);
  expect(holderOf(home)).toBe(null);
});

test("an application that cannot start fails the start with its own words, and everything is stopped again", async () => {
  const refusal = await refusalOf(startStack(deps({ environment: { ...environment, STUB_API_FAILS: "1" } })));
  expect(refusal).toMatch(
    /^start_failed: api ended at its start \(exit code 2\): the API cannot start: STUB_API_FAILS is set/,
  );
  expect(existsSync(join(home, "postgres/postmaster.pid"))).toBe(false);
  expect(holderOf(home)).toBe(null);
});

test("a start that is given up leaves nothing", async () => {
  const giveUp = new AbortController();
  const progress = {
    ...silentProgress,
    part: (name: string, work: (detail: () => void) => Promise<unknown>) =>
      work(() => name === "auth" && giveUp.abort()),
  };
  await expect(
    startStack(deps({ signal: giveUp.signal, progress: progress as StackDeps["progress"] })),
  ).rejects.toThrow("abort");
  expect(existsSync(join(home, "postgres/postmaster.pid"))).toBe(false);
  expect(holderOf(home)).toBe(null);
});

test("however the supervisor dies, nothing survives it, and the next start works", async () => {
  const script = `import { startStack } from ${JSON.stringify(join(import.meta.dirname, "start-stack.ts"))};
    import { silentProgress } from ${JSON.stringify(join(import.meta.dirname, "../terminal/progress.ts"))};
    const { root, settings, environment } = ${JSON.stringify(deps())};
    await startStack({ root, settings, environment, progress: silentProgress, signal: AbortSignal.timeout(60_000) });
    console.log("up"); setInterval(() => {}, 1000);`;
  const supervisor = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void supervisor.kill("SIGKILL"));
  await once(supervisor.stdout, "data");
  const file = readStackFile(home);
  if (file === null) throw new Error("no stack.json");
  supervisor.kill("SIGKILL");
  await expectNothingLeft(file);
  const stack = await start();
  expect(await signIn(stack.describe())).toBe(userOfFirstStart);
});
