import { randomUUID } from "node:crypto";
import type { Sandbox, SandboxProvider } from "@cortex/sandbox/port";
import { createTestSandboxes, eventually } from "@cortex/testing";
import { beforeAll, expect, test } from "vitest";
import { discoverTools } from "../discover-tools.ts";
import type { Tool } from "../tool.ts";
import type { ToolOutcome } from "../tool-context.ts";

let sandbox: Sandbox;
let provider: SandboxProvider;
let tools: Tool[];

beforeAll(async () => {
  provider = await createTestSandboxes();
  tools = await discoverTools();
  sandbox = provider.open(await provider.create({ id: randomUUID(), labels: {} }));
});

const use = async (name: string, args: unknown, callId: string = randomUUID()): Promise<ToolOutcome> => {
  const tool = tools.find((candidate) => candidate.name === name);
  if (!tool) throw new Error(`no tool ${name}`);
  return tool.call(args, {
    signal: new AbortController().signal,
    runId: "run",
    toolCallId: callId,
    idempotencyKey: `run:${callId}`,
    output: async () => undefined,
    openSandbox: async () => sandbox,
    now: () => new Date(),
  });
};

const ok = async (name: string, args: unknown, callId?: string): Promise<string> => {
  const outcome = await use(name, args, callId);
  expect({ ...outcome, fault: String(outcome.fault) }).toMatchObject({ isError: false });
  return outcome.content;
};

const idIn = (answer: string): string => /\[process (p-[0-9a-f]{8}):/.exec(answer)?.[1] ?? "none";

/** Everything that a process has said up to its end, beginning with the answer to its start. */
const toItsEnd = async (started: string): Promise<string> => {
  const process = idIn(started);
  const said: string[] = [];
  for (let answer = started; ; answer = await ok("check_process", { process, wait_seconds: 5 })) {
    const [state = "", ...lines] = answer.split("\n");
    if (lines[0] !== "[no new output]") said.push(...lines);
    if (!state.includes("running")) return [state, ...said].join("\n");
  }
};

const runs = (pattern: string): Promise<boolean> =>
  sandbox.exec({ command: `pgrep -f '${pattern}'` }).then((result) => result.exitCode === 0);

test("where no processes run, that is said", async () => {
  const capabilities = { ...sandbox.capabilities, processes: false };
  const scripts: Sandbox = {
    id: sandbox.id,
    provider: "virtual",
    capabilities,
    files: sandbox.files,
    exec: (input, signal) => sandbox.exec(input, signal),
    connect: (input, signal) => sandbox.connect(input, signal),
    takeNotices: () => [],
  };
  const tool = tools.find((candidate) => candidate.name === "start_process");
  const outcome = await tool?.call(
    { command: "true" },
    {
      signal: new AbortController().signal,
      runId: "run",
      toolCallId: "call",
      idempotencyKey: "run:call",
      output: async () => undefined,
      openSandbox: async () => scripts,
      now: () => new Date(),
    },
  );
  expect(outcome).toMatchObject({ isError: true, effectState: "failed" });
  expect(outcome?.content).toContain("no processes in the background");
});

test("a process goes on when its call has ended, and is looked at, listed and killed with all its children", async (context) => {
  if (!sandbox.capabilities.processes) context.skip("virtual sandboxes run no processes");
  const command = "echo hello; sleep 91001 & while ! [ -f go ]; do sleep 0.05; done; echo gone on; sleep 91002";
  const started = await ok("start_process", { command });
  expect(started).toMatch(/^\[process p-[0-9a-f]{8}: running\]\nhello$/);
  const process = idIn(started);
  expect(await ok("check_process", { process })).toBe(`[process ${process}: running]\n[no new output]`);
  await sandbox.files.write("go", "");
  expect(await ok("check_process", { process, wait_seconds: 30 })).toBe(`[process ${process}: running]\ngone on`);
  expect(await ok("list_processes", {})).toMatch(
    new RegExp(`^${process} {2}running, started \\d+ s ago: echo hello; sleep`),
  );
  expect(await runs("sleep 9100[12]")).toBe(true);
  expect(await ok("kill_process", { process })).toMatch(/: exited with code (143|137)\]/);
  expect(await runs("sleep 9100[12]")).toBe(false);
  // Once more is fine.
  expect(await ok("kill_process", { process })).toContain("exited with code");
});

test("its end and its exit code are known, and what it said last", async (context) => {
  if (!sandbox.capabilities.processes) context.skip("virtual sandboxes run no processes");
  expect(await toItsEnd(await ok("start_process", { command: "no-such-program" }))).toMatch(
    /: exited with code 127\]\n.*command not found$/,
  );
  const cwd = "ein Ordner/ü";
  await sandbox.files.mkdir(cwd);
  const answer = await ok("start_process", { command: "pwd; env | grep -c CORTEX; cat; echo oops >&2; exit 3", cwd });
  expect(await toItsEnd(answer)).toMatch(/: exited with code 3\]\n\/workspace\/ein Ordner\/ü\n0\noops$/);
  expect((await use("start_process", { command: "true", cwd: "../out" })).isError).toBe(true);
});

test("one that ignores being asked is ended, and what has left the group lives on and is seen", async (context) => {
  if (!sandbox.capabilities.processes) context.skip("virtual sandboxes run no processes");
  const stubborn = idIn(await ok("start_process", { command: "trap '' TERM; echo on; while :; do sleep 91003; done" }));
  expect(await ok("kill_process", { process: stubborn })).toContain("exited with code 137");
  expect(await runs("sleep 91003")).toBe(false);
  const parent = await ok("start_process", { command: "sleep 91004 & echo parent" });
  expect(await toItsEnd(parent)).toMatch(/exited with code 0; processes that it started still run\]\nparent$/);
  await ok("kill_process", { process: idIn(parent) });
  expect(await runs("sleep 91004")).toBe(false);
  // Also where nothing of it holds the output any more.
  const silent = await ok("start_process", { command: "sleep 91007 > /dev/null 2>&1 & echo silent" });
  expect(await toItsEnd(silent)).toContain("still run]");
  expect(await ok("kill_process", { process: idIn(silent) })).toMatch(/exited with code 0\]/);
  expect(await runs("sleep 91007")).toBe(false);
});

test("a call that is repeated starts nothing twice and loses no output", async (context) => {
  if (!sandbox.capabilities.processes) context.skip("virtual sandboxes run no processes");
  const command = "echo x >> starts; echo begun; sleep 91005";
  const process = idIn(await ok("start_process", { command }, "same"));
  expect(idIn(await ok("start_process", { command }, "same"))).toBe(process);
  expect(new TextDecoder().decode(await sandbox.files.read("starts"))).toBe("x\n");
  expect(await ok("start_process", { command }, "same")).toContain("begun");
  await ok("kill_process", { process });
});

test("endless output is bounded in the sandbox and in the answer", async (context) => {
  if (!sandbox.capabilities.processes) context.skip("virtual sandboxes run no processes");
  const process = idIn(
    await ok("start_process", {
      command:
        "while ! [ -f flood ]; do sleep 0.05; done; head -c 8000000 /dev/zero | tr '\\0' ü | fold -w 99; echo end",
    }),
  );
  await sandbox.files.write("flood", "");
  await eventually(async () => (await ok("list_processes", {})).includes(`${process}  exited`));
  const answer = await ok("check_process", { process }, "look");
  expect(answer.length).toBeLessThan(25_000);
  expect(answer).toMatch(/end$/);
  expect(await ok("check_process", { process }, "look")).toBe(answer);
  expect(await ok("check_process", { process })).toContain("[no new output]");
  const { entries } = await sandbox.files.list(`.cortex/processes/${process}`);
  const kept = entries.filter((entry) => entry.name.startsWith("output."));
  expect(kept).toHaveLength(2);
  expect(kept.reduce((sum, entry) => sum + entry.size, 0)).toBeLessThanOrEqual(2 * 1024 * 1024);
});

test("an id is nothing but an id, and what commands have done to the files fools nobody outside", async (context) => {
  for (const process of ["p-../../..", "x", "p-0123456g", "p-01234567;reboot", "p-01234567\n"]) {
    expect((await use("check_process", { process })).effectState).toBe("none");
  }
  if (!sandbox.capabilities.processes) context.skip("virtual sandboxes run no processes");
  for (const name of ["check_process", "kill_process"]) {
    const missing = await use(name, { process: "p-01234567" });
    expect(missing).toMatchObject({ isError: true, effectState: "failed" });
  }
  const folder = ".cortex/processes/p-0badbad0";
  for (const [file, text] of [
    ["pid", "-1 0 x"],
    ["exit", "12; reboot"],
    ["seen", "a -5 $(reboot)"],
    ["output.x", "?"],
    ["command", "a\tb\nc"],
  ] as const) {
    await sandbox.files.write(`${folder}/${file}`, text);
  }
  expect(await ok("check_process", { process: "p-0badbad0" })).toContain("exited with code 12]");
  expect(await ok("kill_process", { process: "p-0badbad0" })).toContain("exited with code 12]");
  expect(await ok("list_processes", {})).toMatch(/p-0badbad0 {2}exited .*: a b c$/m);
  await sandbox.files.write(`${folder}/exit`, "reboot");
  expect(await ok("check_process", { process: "p-0badbad0" })).toContain(": gone");
});

test("after a restart of the sandbox a process is gone, and its output is still there", async (context) => {
  if (!sandbox.capabilities.processes) context.skip("virtual sandboxes run no processes");
  const process = idIn(await ok("start_process", { command: "echo before; sleep 91006" }));
  await provider.stop({ id: sandbox.id, externalId: sandbox.id });
  const answer = await ok("check_process", { process });
  expect(answer).toContain("The sandbox was restarted");
  expect(answer).toContain(`[process ${process}: gone`);
  expect(await runs("sleep 91006")).toBe(false);
});
