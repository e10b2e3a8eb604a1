import { randomUUID } from "node:crypto";
import type { OpenSandbox, Sandbox, SandboxProvider } from "@cortex/sandbox/port";
import { createTestSandboxes, eventually } from "@cortex/testing";
import { beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import type { ToolOutcome } from "../tool-context.ts";
import { discoverTools } from "../discover-tools.ts";
import { anInput, ofType, play } from "../testing/run.ts";
import { calls, says, scriptedModel } from "../testing/scripted-model.ts";
import type { Tool } from "../tool.ts";

let provider: SandboxProvider;
let tools: Tool[];
let sandbox: Sandbox;

beforeAll(async () => {
  provider = await createTestSandboxes();
  tools = await discoverTools();
});

beforeEach(async () => {
  const ref = await provider.create({ id: randomUUID(), labels: {} });
  sandbox = provider.open(ref);
  onTestFinished(() => provider.delete(ref));
});

const shown: string[] = [];

/** One call of a tool of this package, in a real sandbox. */
const use = async (
  name: string,
  args: unknown,
  openSandbox: OpenSandbox = async () => sandbox,
  signal = new AbortController().signal,
): Promise<ToolOutcome> => {
  const tool = tools.find((candidate) => candidate.name === name);
  if (!tool) throw new Error(`no tool ${name}`);
  shown.length = 0;
  return tool.call(args, {
    signal,
    runId: "run",
    toolCallId: "call",
    idempotencyKey: "run:call",
    output: async (chunk) => void shown.push(chunk),
    openSandbox,
    now: () => new Date(),
  });
};

const ok = async (name: string, args: unknown): Promise<string> => {
  const outcome = await use(name, args);
  expect(outcome).toMatchObject({ isError: false });
  return outcome.content;
};

const failure = async (name: string, args: unknown): Promise<ToolOutcome> => {
  const outcome = await use(name, args);
  expect(outcome).toMatchObject({ isError: true });
  return outcome;
};

test("a file is created with its folders, replaced as a whole, and read with line numbers", async () => {
  expect(await ok("create_file", { path: "src/a.txt", content: "one\ntwo\n" })).toBe(
    "Created /workspace/src/a.txt (8 bytes).",
  );
  expect(await ok("create_file", { path: "/workspace/src/a.txt", content: "new\n" })).toBe(
    "Replaced /workspace/src/a.txt (4 bytes).",
  );
  expect(await ok("read_file", { path: "src/a.txt" })).toBe("1\tnew");
  expect(await ok("list_files", {})).toBe("src/");
  expect(await ok("list_files", { depth: 2 })).toBe("src/\nsrc/a.txt\t4 bytes");
});

test("a long file comes in parts", async () => {
  await sandbox.files.write("long.txt", Array.from({ length: 5_000 }, (_, n) => `line ${n + 1}`).join("\n"));
  const first = await ok("read_file", { path: "long.txt" });
  expect(first).toMatch(/^ {3}1\tline 1\n/);
  expect(first).toMatch(/\n2000\tline 2000\n\[There is more\. Go on with start_line 2001\.\]$/);
  expect(await ok("read_file", { path: "long.txt", start_line: 4_999 })).toBe("4999\tline 4999\n5000\tline 5000");
  expect(await ok("read_file", { path: "long.txt", start_line: 3, end_line: 4 })).toBe("3\tline 3\n4\tline 4");
  expect(await ok("read_file", { path: "long.txt", start_line: 6_000 })).toBe(
    "/workspace/long.txt has fewer than 6000 lines.",
  );
  expect((await failure("read_file", { path: "long.txt", start_line: 4, end_line: 3 })).content).toContain("end_line");
});

test("odd files are read as far as they can be", async () => {
  await sandbox.files.write("empty", "");
  expect(await ok("read_file", { path: "empty" })).toBe("/workspace/empty is empty.");
  await sandbox.files.write("crlf", "a\r\nb\r\n");
  expect(await ok("read_file", { path: "crlf" })).toBe("1\ta\n2\tb");
  await sandbox.files.write("gaps", "a\n\nb\n");
  expect(await ok("read_file", { path: "gaps", end_line: 1 })).toBe("1\ta");
  expect(await ok("read_file", { path: "gaps" })).toBe("1\ta\n2\t\n3\tb");
  await sandbox.files.write("wide", `${"x".repeat(3_000_000)}\nend`);
  const wide = await ok("read_file", { path: "wide" });
  expect(wide.length).toBeLessThan(2_200);
  expect(wide).toMatch(/\[… line cut …\]\n2\tend$/);
  await sandbox.files.write("binary", new Uint8Array([1, 0, 2]));
  expect((await failure("read_file", { path: "binary" })).content).toContain("binary file");
  await sandbox.files.write("many", "0123456789".repeat(100).concat("\n").repeat(100));
  expect((await ok("read_file", { path: "many" })).length).toBeLessThan(60_000);
});

test("an edit replaces exactly one passage, and nothing else ever", async () => {
  await sandbox.files.write("a.js", "let a = 1;\nlet b = 1;\n");
  expect(await ok("edit_file", { path: "a.js", old_text: "b = 1", new_text: "b = $& 2" })).toBe(
    "Edited /workspace/a.js at line 2.",
  );
  expect(await ok("read_file", { path: "a.js" })).toBe("1\tlet a = 1;\n2\tlet b = $& 2;");
  for (const [args, reason] of [
    [{ path: "a.js", old_text: "let", new_text: "var" }, "more than once"],
    [{ path: "a.js", old_text: "nothing", new_text: "" }, "does not occur"],
    [{ path: "a.js", old_text: "a", new_text: "a" }, "are the same"],
    [{ path: "b.js", old_text: "a", new_text: "b" }, "no file /workspace/b.js"],
  ] as const) {
    const outcome = await failure("edit_file", args);
    expect(outcome.content).toContain(reason);
    // It is known that nothing happened, so nobody needs to look.
    expect(outcome.effectState).toBe("failed");
  }
  await sandbox.files.write("latin", new Uint8Array([0x61, 0xe9, 0x62]));
  expect((await failure("edit_file", { path: "latin", old_text: "a", new_text: "b" })).content).toContain(
    "not a UTF-8",
  );
});

test("an edit that cannot be says where to look, and one of every occurrence is asked for", async () => {
  await sandbox.files.write("b.py", "def f():\r\n    return 1\r\n\r\ndef g():\r\n    return 1\r\n");
  const twice = await failure("edit_file", { path: "b.py", old_text: "return 1", new_text: "return 2" });
  expect(twice.content).toContain("(lines 2, 5)");
  const almost = await failure("edit_file", { path: "b.py", old_text: "def g():\n  return 1\n", new_text: "" });
  expect(almost.content).toContain("differs from it only in white space begins at line 4");
  expect(await ok("edit_file", { path: "b.py", old_text: "return 1", new_text: "$&", replace_all: true })).toBe(
    "Edited /workspace/b.py at line 2 and 1 further places.",
  );
  expect(await ok("read_file", { path: "b.py" })).toBe("1\tdef f():\n2\t    $&\n3\t\n4\tdef g():\n5\t    $&");
  await sandbox.files.write("a", "a".repeat(1_000));
  const bomb = { path: "a", old_text: "a", new_text: "b".repeat(1_000_000), replace_all: true };
  expect((await failure("edit_file", bomb)).content).toContain("longer than");
});

test("files are moved, deleted and found, whatever they are called", async () => {
  const odd = "ein Ordner/[a] 'ü' \"x\" 🦊.txt";
  await ok("create_file", { path: odd, content: "needle\nhay\n" });
  await ok("make_folder", { path: "empty/deep" });
  expect(await ok("search_files", { text: "needle" })).toBe(`${odd}:1: needle`);
  expect(await ok("search_files", { glob: "**/*.txt" })).toBe(odd);
  expect(await ok("search_files", { text: "needle", glob: "*.txt" })).toBe("Nothing was found.");
  expect(await ok("move_file", { from: odd, to: "new/-rf.txt" })).toBe(
    `Moved /workspace/${odd} to /workspace/new/-rf.txt.`,
  );
  await ok("create_file", { path: "other.txt", content: "needle $(reboot)\n" });
  expect((await failure("move_file", { from: "new/-rf.txt", to: "other.txt" })).content).toContain("already");
  expect(await ok("search_files", { text: "needle", limit: 1 })).toMatch(/^\S+:1: needle.*\n\[There may be more/);
  await ok("move_file", { from: "new/-rf.txt", to: "other.txt", overwrite: true });
  expect(await ok("read_file", { path: "other.txt" })).toBe("1\tneedle\n2\thay");
  expect((await failure("delete_file", { path: "empty" })).content).toContain("not empty");
  await ok("delete_file", { path: "empty", recursive: true });
  await ok("delete_file", { path: "other.txt" });
  for (const [name, args, reason] of [
    ["delete_file", { path: "other.txt" }, "no such file"],
    ["delete_file", { path: "/workspace", recursive: true }, "workspace itself"],
    ["move_file", { from: "nothing", to: "a" }, "no such file"],
    ["move_file", { from: "new", to: "new/in/itself" }, "into itself"],
    ["search_files", {}, "text, glob, or both"],
    ["search_files", { text: "a\nb" }, "line break"],
    ["search_files", { text: "a", path: "nowhere" }, "nowhere"],
  ] as const) {
    const outcome = await failure(name, args);
    expect(outcome.content).toContain(reason);
    expect(["none", "failed"]).toContain(outcome.effectState);
  }
});

test("of two edits at the same time none is lost in silence", async () => {
  const letters = ["a", "b", "c", "d"];
  for (let round = 0; round < 5; round += 1) {
    await sandbox.files.write("shared.txt", letters.join(" "));
    const edits = letters.map((letter) => ({ path: "shared.txt", old_text: letter, new_text: letter.toUpperCase() }));
    const outcomes = await Promise.all(edits.map((edit) => use("edit_file", edit)));
    const text = new TextDecoder().decode(await sandbox.files.read("shared.txt"));
    const said = outcomes.map((outcome, index) => (outcome.isError ? letters[index] : letters[index]?.toUpperCase()));
    expect(text).toBe(said.join(" "));
    expect(outcomes.some((outcome) => !outcome.isError)).toBe(true);
    expect(outcomes.every((outcome) => outcome.effectState === (outcome.isError ? "failed" : "done"))).toBe(true);
  }
});

test("a command answers with its output and exit code, and is seen live", async () => {
  expect(await ok("execute_command", { command: "echo hello; pwd" })).toBe("hello\n/workspace\n[exit code 0]");
  expect(shown.join("")).toBe("hello\n/workspace\n");
  expect(await failure("execute_command", { command: "echo oops >&2; exit 3" })).toMatchObject({
    content: "[stderr]\noops\n[exit code 3]",
    effectState: "done",
  });
  expect(await ok("execute_command", { command: "true" })).toBe("[no output]\n[exit code 0]");
  const slow = await failure("execute_command", { command: "echo begun; sleep 30", timeout_seconds: 1 });
  expect(slow.content).toMatch(/^begun\n\[killed after 1 s\]\n\[exit code 124\]$/);
});

test("a command that the end of the run has ended says so, and what was killed", async () => {
  const abort = new AbortController();
  const command = `echo begun > begun; ${"true; ".repeat(100)} sleep 30`;
  const running = use("execute_command", { command }, undefined, abort.signal);
  await eventually(() => sandbox.files.stat("begun"));
  abort.abort(new Error("stopped"));
  const outcome = await running;
  expect(outcome).toMatchObject({ interrupted: true, leftBehind: false, effectState: "unknown" });
  expect(outcome.killed).toHaveLength(1);
  const [killed] = outcome.killed;
  expect(killed?.command).toMatch(/^echo begun > begun; true; [\s\S]*sleep 30$/);
  expect(killed?.command.length).toBeLessThan(300);
  // Shell and sleep, or the shell alone that has become it.
  const counts = sandbox.capabilities.processes ? [1, 2] : [null];
  expect(counts).toContain(killed?.processes);
});

test("long output is cut in the middle for the model", async () => {
  const outcome = await use("execute_command", { command: "seq 1 100000" });
  expect(outcome.content).toMatch(/^1\n2\n/);
  expect(outcome.content).toMatch(/characters left out[\s\S]*\n100000\n\[exit code 0\]$/);
  expect(outcome.content.length).toBeLessThan(21_000);
});

test.each(["../x", "/etc/passwd", "a/../../b", "%2e%2e/x"])("no tool leaves the workspace by %s", async (path) => {
  for (const [name, args] of [
    ["read_file", { path }],
    ["create_file", { path, content: "x" }],
    ["edit_file", { path, old_text: "a", new_text: "b" }],
    ["list_files", { path }],
    ["delete_file", { path, recursive: true }],
    ["move_file", { from: path, to: "x" }],
    ["move_file", { from: "x", to: path }],
    ["make_folder", { path }],
    ["search_files", { text: "root", path }],
    ["execute_command", { command: "true", cwd: path }],
  ] as const) {
    const outcome = await failure(name, args);
    expect(outcome.content).toMatch(/path must|The path/);
    expect(["none", "failed"]).toContain(outcome.effectState);
  }
});

test("what is missing is said", async () => {
  expect((await failure("read_file", { path: "nope.txt" })).content).toMatch(/nope\.txt/);
  expect((await failure("list_files", { path: "nope" })).content).toMatch(/nope/);
  expect(await ok("list_files", {})).toBe("/workspace is empty.");
});

test("a whole run: write a file, show it, look at it", async () => {
  const model = scriptedModel(
    calls(
      { name: "create_file", args: { path: "hi.txt", content: "hello\n" }, id: "1" },
      { name: "execute_command", args: { command: "cat hi.txt" }, id: "2" },
    ),
    says("There it is."),
  );
  const { events, outcome } = await play({ model, tools, openSandbox: async () => sandbox }, anInput());
  expect(outcome.kind).toBe("completed");
  // In order, although they came in one answer: the second sees what the first did.
  expect(ofType(events, "tool_call.completed").map((event) => [event.name, event.result, event.effect_state])).toEqual([
    ["create_file", "Created /workspace/hi.txt (6 bytes).", "done"],
    ["execute_command", "hello\n[exit code 0]", "done"],
  ]);
  expect(
    ofType(events, "tool_call.output")
      .map((event) => event.chunk)
      .join(""),
  ).toBe("hello\n");
});
