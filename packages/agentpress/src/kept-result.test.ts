import { randomUUID } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Sandbox, SandboxFiles, SandboxProvider } from "@cortex/sandbox/port";
import { createTestSandboxes } from "@cortex/testing";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { discoverTools } from "./discover-tools.ts";
import { fitResult, removeOldOutputs } from "./kept-result.ts";
import { anInput, ofType, play } from "./testing/run.ts";
import { calls, says, scriptedModel } from "./testing/scripted-model.ts";
import { defineTool, type Tool } from "./tool.ts";

let provider: SandboxProvider;
let tools: Tool[];

beforeAll(async () => {
  provider = await createTestSandboxes();
  tools = await discoverTools();
});

const aSandbox = async (): Promise<Sandbox> => {
  const ref = await provider.create({ id: randomUUID(), labels: {} });
  onTestFinished(() => provider.delete(ref));
  return provider.open(ref);
};

const megabyte = 1_000_000;

setFlagsFromString("--expose_gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** Bytes that are really in use: nothing that could be collected counts. */
const inUse = (): number => {
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

/** A tool as of an MCP server or the web: it hands over its text, however long. */
const verbose = (text: () => string): Tool =>
  defineTool({
    name: "verbose",
    title: "Verbose",
    description: "Answers with a very long text.",
    effect: "pure",
    parallel: false,
    schema: z.strictObject({}),
    timeoutMs: 60_000,
    maxResultChars: 1_000,
    execute: async () => text(),
  });

const textOf = async (sandbox: Sandbox, path: string): Promise<string> =>
  new TextDecoder().decode(await sandbox.files.read(path, { maxBytes: 40 * megabyte }));

/** Where the result says that the whole is. */
const pathIn = (result: string): string => /\/workspace\/(\.cortex\/outputs\/\S+\.txt)/.exec(result)?.[1] ?? "none";

const resultsOf = async (
  sandbox: Sandbox | null,
  own: readonly Tool[],
  ...asked: { name: string; args: unknown }[]
) => {
  const model = scriptedModel(calls(...asked.map((call, index) => ({ ...call, id: `c${index}` }))), says("Done."));
  const openSandbox = sandbox === null ? {} : { openSandbox: async () => sandbox };
  const { events, outcome } = await play({ model, tools: [...tools, ...own], ...openSandbox }, anInput());
  expect(outcome.kind).toBe("completed");
  return ofType(events, "tool_call.completed")
    .toSorted((left, right) => (left.tool_call_id < right.tool_call_id ? -1 : 1))
    .map((event) => event.result);
};

test("a result that is too long for the model stands whole in the workspace, if there is one open", async () => {
  const text = `begin ${"🦊".repeat(100_000)} end`;
  const own = [verbose(() => text)];
  const sandbox = await aSandbox();
  const long = { name: "verbose", args: {} };
  const [before, , after] = await resultsOf(sandbox, own, long, { name: "list_files", args: {} }, long);
  // Nobody had needed the sandbox yet, and a long text is no reason to make one.
  expect(pathIn(before ?? "")).toBe("none");
  expect(after).toMatch(
    /^begin 🦊+\n\[… \d+ characters left out; the whole output is in \/workspace\/\S+\.txt, for .* …\]\n🦊+ end$/u,
  );
  expect(await textOf(sandbox, pathIn(after ?? ""))).toBe(text);
  const [alone] = await resultsOf(null, own, long);
  expect(pathIn(alone ?? "")).toBe("none");
  expect(alone).toMatch(/left out[\s\S]* end$/);
});

test("what cannot be kept is cut, and the call succeeds all the same", async () => {
  const sandbox = await aSandbox();
  await sandbox.files.write(".cortex", "in the way");
  const own = [verbose(() => "x".repeat(5_000))];
  const [, verboseResult] = await resultsOf(
    sandbox,
    own,
    { name: "list_files", args: {} },
    { name: "verbose", args: {} },
  );
  expect(verboseResult).toMatch(/^x+\n\[… 4000 characters left out …\]\nx+$/);
  const command = "seq 1 100000";
  const [shell] = await resultsOf(sandbox, [], { name: "execute_command", args: { command } });
  expect(shell).toMatch(/left out[\s\S]*\n100000\n\[exit code 0\]$/);
});

test("the output of a command is kept by the sandbox itself, both streams, and only when it is long", async () => {
  const sandbox = await aSandbox();
  const [short, long, ended] = await resultsOf(
    sandbox,
    [],
    { name: "execute_command", args: { command: "seq 1 100" } },
    { name: "execute_command", args: { command: "seq 1 100000; echo oops >&2; exit 3" } },
    // Long enough to be kept, and yet seen whole.
    { name: "execute_command", args: { command: "seq 1 3000; seq 3001 6000 >&2" } },
  );
  expect(pathIn(short ?? "")).toBe("none");
  expect(pathIn(ended ?? "")).toBe("none");
  const path = pathIn(long ?? "");
  expect((await textOf(sandbox, path)).replace("oops\n", "")).toBe(
    `${Array.from({ length: 100_000 }, (_, n) => n + 1).join("\n")}\n`,
  );
  expect((await sandbox.files.list(".cortex/outputs")).entries.map((entry) => entry.path)).toEqual([path]);
});

test("10 MB of a command's output never reach us", async () => {
  const sandbox = await aSandbox();
  await sandbox.files.write("big", "x".repeat(10 * megabyte));
  await sandbox.exec({ command: "true" });
  const before = inUse();
  let most = 0;
  const watched: Sandbox = {
    id: sandbox.id,
    provider: sandbox.provider,
    capabilities: sandbox.capabilities,
    files: sandbox.files,
    takeNotices: () => sandbox.takeNotices(),
    connect: (port, signal) => sandbox.connect(port, signal),
    exec: async (input, signal) => {
      const result = await sandbox.exec(input, signal);
      most = Math.max(most, inUse() - before);
      return result;
    },
  };
  const command = "cat big";
  const [result] = await resultsOf(watched, [], { name: "execute_command", args: { command } });
  // Held: what may leave the sandbox (1 MB) and what lies on the way. Far below the 10 MB.
  expect(most).toBeLessThan(6 * megabyte);
  expect((await sandbox.files.stat(pathIn(result ?? "")))?.size).toBe(10 * megabyte);
});

test("a text of 10 MB is in memory once while it is kept", async () => {
  const sandbox = await aSandbox();
  const before = inUse();
  let most = 0;
  let seen = 0;
  const watched: Sandbox = {
    id: sandbox.id,
    provider: sandbox.provider,
    capabilities: sandbox.capabilities,
    takeNotices: () => sandbox.takeNotices(),
    connect: (port, signal) => sandbox.connect(port, signal),
    exec: (input, signal) => sandbox.exec(input, signal),
    files: {
      ...sandbox.files,
      write: (path, content, options, signal) => {
        if (typeof content === "string" || content instanceof Uint8Array) throw new TypeError("not in pieces");
        const measured = async function* () {
          for await (const piece of content) {
            seen += 1;
            if (seen % 40 === 0) most = Math.max(most, inUse() - before);
            yield piece;
          }
        };
        return sandbox.files.write(path, measured(), options, signal);
      },
    },
  };
  const own = [verbose(() => "0123456789".repeat(megabyte))];
  const [, result = ""] = await resultsOf(
    watched,
    own,
    { name: "list_files", args: {} },
    { name: "verbose", args: {} },
  );
  expect(seen).toBeGreaterThan(100);
  expect(most).toBeGreaterThan(9 * megabyte);
  expect(most).toBeLessThan(18 * megabyte);
  expect((await sandbox.files.stat(pathIn(result)))?.size).toBe(10 * megabyte);
});

test("a shortened result does not keep the text alive that it was cut from", async () => {
  const before = inUse();
  const results = await Promise.all(
    Array.from({ length: 10 }, (_, n) => fitResult(`${n}`.repeat(megabyte), 1_000, null)),
  );
  expect(inUse() - before).toBeLessThan(2 * megabyte);
  expect(results.map((result) => result.content.length)).toSatisfy((lengths: number[]) =>
    lengths.every((length) => length < 1_100),
  );
});

test("old outputs make room for new ones", async () => {
  const sandbox = await aSandbox();
  for (let n = 1; n <= 60; n += 1) await sandbox.files.write(`.cortex/outputs/${n}.txt`, "x");
  // As old as their names say.
  const files: SandboxFiles = {
    ...sandbox.files,
    list: async (path, options, signal) => {
      const { entries, truncated } = await sandbox.files.list(path, options, signal);
      const dated = entries.map((entry) => ({ ...entry, modifiedAt: new Date(Number.parseInt(entry.name, 10)) }));
      return { entries: dated, truncated };
    },
  };
  await removeOldOutputs(files, new AbortController().signal);
  const { entries } = await sandbox.files.list(".cortex/outputs");
  expect(entries.map((entry) => Number.parseInt(entry.name, 10)).toSorted((a, b) => a - b)).toEqual(
    Array.from({ length: 50 }, (_, n) => n + 11),
  );
});
