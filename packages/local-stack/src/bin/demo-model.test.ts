import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { eventually } from "@cortex/testing";

const PROGRAM = new URL("demo-model.ts", import.meta.url).pathname;
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
});

function start(env: Record<string, string>, stdin: "pipe" | "ignore" = "pipe"): ChildProcess {
  const child = spawn(process.execPath, [PROGRAM], {
    env: { PATH: process.env["PATH"], DEMO_MODEL_PORT: "0", ...env },
    stdio: [stdin, "pipe", "pipe"],
  });
  children.push(child);
  return child;
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error("The child has no stdout.");
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, "line")) as [string];
  return line;
}

async function readyUrl(child: ChildProcess): Promise<string> {
  const line = await firstLine(child);
  const url = /^demo model ready (http:\/\/127\.0\.0\.1:\d+\/v1)$/.exec(line)?.[1];
  if (url === undefined) throw new Error(`Not ready: ${line}`);
  return url;
}

const ended = async (child: ChildProcess): Promise<unknown> => {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode ?? child.signalCode;
};

test("says where it listens, answers, and ends on SIGTERM with answers still open", async () => {
  const child = start({ DEMO_MODEL_API_KEY: "key" });
  const url = await readyUrl(child);
  expect((await fetch(`${url}/models`)).status).toBe(401);
  const open = fetch(`${url}/chat/completions`, {
    method: "POST",
    headers: { authorization: "Bearer key" },
    body: JSON.stringify({ model: "demo", stream: true, messages: [{ role: "user", content: "[[stall=1]]" }] }),
  });
  expect((await open).status).toBe(200);
  child.kill("SIGTERM");
  expect(await ended(child)).toBe(0);
});

test("ends when its parent closes stdin", async () => {
  const child = start({});
  await readyUrl(child);
  child.stdin?.end();
  expect(await ended(child)).toBe(0);
});

test("ends when its parent is killed", async () => {
  // A parent of its own: it starts the program with a pipe, passes its output on, and is then killed without a chance to act.
  const parent = spawn(
    process.execPath,
    [
      "-e",
      `require("child_process").spawn(process.execPath, [process.argv[1]], { stdio: ["pipe", "inherit", "inherit"] })`,
      PROGRAM,
    ],
    { env: { PATH: process.env["PATH"], DEMO_MODEL_PORT: "0" }, stdio: ["ignore", "pipe", "inherit"] },
  );
  children.push(parent);
  const url = await readyUrl(parent);
  expect((await fetch(`${url}/models`)).status).toBe(200);
  parent.kill("SIGKILL");
  await eventually(() =>
    fetch(`${url}/models`).then(
      () => false,
      () => true,
    ),
  );
});

test("stays when its input is /dev/null, which ends at once", async () => {
  const child = start({}, "ignore");
  const url = await readyUrl(child);
  for (let index = 0; index < 20; index += 1) expect((await fetch(`${url}/models`)).status).toBe(200);
  expect(child.exitCode).toBeNull();
});

test("one sentence and exit 1 for a port that is taken and for nonsense", async () => {
  const holder = createServer();
  holder.listen(0, "127.0.0.1");
  await once(holder, "listening");
  const address = holder.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  for (const [value, sentence] of [
    [String(port), /could not start: .*EADDRINUSE/],
    ["eighty", /DEMO_MODEL_PORT must be a whole number/],
  ] as const) {
    const child = start({ DEMO_MODEL_PORT: value });
    let said = "";
    child.stderr?.on("data", (text: Buffer) => (said += text.toString()));
    expect(await ended(child)).toBe(1);
    await eventually(() => said.endsWith("\n"));
    expect(said).toMatch(sentence);
    expect(said.trim().split("\n")).toHaveLength(1);
  }
  holder.close();
});
