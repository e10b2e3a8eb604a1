import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { gzipSync } from "node:zlib";
import type { Sandbox } from "@cortex/sandbox/port";
import { createTestSandboxes } from "@cortex/testing";
import { packTar, type TarEntry } from "modern-tar";
import { beforeAll, expect, test } from "vitest";
import { ZipFile } from "yazl";
import { discoverTools } from "../discover-tools.ts";
import type { Tool } from "../tool.ts";
import type { ToolOutcome } from "../tool-context.ts";

let sandbox: Sandbox;
let tools: Tool[];

beforeAll(async () => {
  const provider = await createTestSandboxes();
  tools = await discoverTools();
  sandbox = provider.open(await provider.create({ id: randomUUID(), labels: {} }));
});

const use = async (name: string, args: unknown): Promise<ToolOutcome> => {
  const tool = tools.find((candidate) => candidate.name === name);
  if (!tool) throw new Error(`no tool ${name}`);
  return tool.call(args, {
    signal: new AbortController().signal,
    runId: "run",
    toolCallId: "call",
    idempotencyKey: "run:call",
    output: async () => undefined,
    openSandbox: async () => sandbox,
    now: () => new Date(),
  });
};

const ok = async (name: string, args: unknown): Promise<string> => {
  const outcome = await use(name, args);
  expect(outcome.isError, `${outcome.content} ${String(outcome.fault)}`).toBe(false);
  return outcome.content;
};

const refusal = async (name: string, args: unknown): Promise<string> => {
  const outcome = await use(name, args);
  expect(outcome).toMatchObject({ isError: true, fault: null });
  expect(["none", "failed"]).toContain(outcome.effectState);
  return outcome.content;
};

const textOf = async (path: string): Promise<string> => new TextDecoder().decode(await sandbox.files.read(path));

const zipBytes = async (fill: (zip: ZipFile) => void): Promise<Buffer> => {
  const zip = new ZipFile();
  const chunks: Buffer[] = [];
  zip.outputStream.on("data", (chunk: Buffer) => chunks.push(chunk));
  const ended = once(zip.outputStream, "end");
  fill(zip);
  zip.end();
  await ended;
  return Buffer.concat(chunks);
};

/** Puts another name of the same length into an archive, which no honest writer would. */
const renamed = (archive: Buffer, from: string, to: string): Buffer => {
  expect(to).toHaveLength(from.length);
  return Buffer.from(archive.toString("latin1").replaceAll(from, to), "latin1");
};

const tarOf = async (...entries: TarEntry[]): Promise<Uint8Array> => packTar(entries);

test.each(["all.zip", "all.tar", "all.tar.gz"])("%s comes back as it was packed", async (name) => {
  const random = Uint8Array.from({ length: 300_000 }, (_, at) => (at * 7919) % 251);
  await sandbox.files.write("src/ein Ordner/ü 🦊.txt", "grüße");
  await sandbox.files.write("src/run.sh", "echo hi", { mode: 0o755 });
  await sandbox.files.write("src/empty", "");
  await sandbox.files.write("src/random.bin", random);
  expect(await ok("create_archive", { path: `out/${name}`, from: ["src", "src/run.sh"] })).toMatch(/^Packed 4 files/);
  expect(await refusal("create_archive", { path: `out/${name}`, from: ["src"] })).toContain("already");
  const listed = await ok("list_archive", { path: `out/${name}` });
  expect(listed.split("\n").toSorted()).toEqual([
    "src/ein Ordner/ü 🦊.txt\t7 bytes",
    "src/empty\t0 bytes",
    "src/random.bin\t300000 bytes",
    "src/run.sh\t7 bytes",
  ]);
  expect(await ok("extract_archive", { path: `out/${name}`, into: `back/${name}` })).toMatch(
    /^Unpacked 4 files \(300014 bytes\)/,
  );
  expect(await textOf(`back/${name}/src/ein Ordner/ü 🦊.txt`)).toBe("grüße");
  expect(Buffer.from(await sandbox.files.read(`back/${name}/src/random.bin`)).equals(random)).toBe(true);
  expect(await refusal("extract_archive", { path: `out/${name}`, into: `back/${name}` })).toContain("already");
  await ok("extract_archive", { path: `out/${name}`, into: `back/${name}`, overwrite: true });
});

test("nothing is written outside, whatever an archive says", async () => {
  const honest = await zipBytes((zip) => zip.addBuffer(Buffer.from("x"), "aa/bb/evil"));
  for (const [index, name] of ["../../evil", "/aaaa/evil", "a/../../ev", "%2e%2e/evl", "..\\..\\evil"].entries()) {
    await sandbox.files.write(`evil${index}.zip`, renamed(honest, "aa/bb/evil", name));
    expect(await refusal("extract_archive", { path: `evil${index}.zip`, into: "deep/er" })).toMatch(
      /leads elsewhere|cannot be read/,
    );
    const header = { name, size: 1, type: "file" as const };
    await sandbox.files.write(`evil${index}.tar`, await tarOf({ header, body: "x" }));
    expect(await refusal("extract_archive", { path: `evil${index}.tar`, into: "deep/er" })).toContain(
      "leads elsewhere",
    );
  }
  // A link, and a file that would be written through it.
  const link = { name: "link", size: 0, type: "symlink" as const, linkname: "/etc" };
  const hard = { name: "hard", size: 0, type: "link" as const, linkname: "/etc/passwd" };
  const through = { header: { name: "link/through", size: 1, type: "file" as const }, body: "x" };
  await sandbox.files.write("links.tar", await tarOf({ header: link }, { header: hard }, through));
  expect(await ok("extract_archive", { path: "links.tar", into: "linked" })).toMatch(/Unpacked 1 files.*link, hard\.$/);
  expect(await sandbox.files.stat("linked/link")).toMatchObject({ type: "directory" });
  const zipped = await zipBytes((zip) => zip.addBuffer(Buffer.from("/etc"), "link", { mode: 0o120777 }));
  await sandbox.files.write("links.zip", zipped);
  expect(await ok("extract_archive", { path: "links.zip", into: "zipped" })).toMatch(/Unpacked 0 files.*link\.$/);
});

test("a bomb is refused while it unpacks, whatever it claims", async () => {
  const zeros = Buffer.alloc(12 * 1024 * 1024);
  await sandbox.files.write("bomb.zip", await zipBytes((zip) => zip.addBuffer(zeros, "zeros")));
  expect(await refusal("extract_archive", { path: "bomb.zip", into: "bomb" })).toContain("bomb");
  const header = { name: "zeros", size: zeros.length, type: "file" as const };
  await sandbox.files.write("bomb.tar.gz", gzipSync(await tarOf({ header, body: zeros })));
  expect(await refusal("extract_archive", { path: "bomb.tar.gz", into: "bomb" })).toContain("bomb");
  expect(await refusal("list_archive", { path: "bomb.tar.gz" })).toContain("bomb");
  expect(await sandbox.files.stat("bomb/zeros")).toBeNull();
  const crowd = await zipBytes((zip) => {
    for (let n = 0; n <= 10_000; n += 1) zip.addEmptyDirectory(`d${n}`);
  });
  await sandbox.files.write("crowd.zip", crowd);
  expect(await refusal("list_archive", { path: "crowd.zip" })).toContain("more than 10000 entries");
});

test("what is no archive, or half of one, is said to be so", async () => {
  await sandbox.files.write("plain.zip", "hello");
  await sandbox.files.write("empty.zip", "");
  for (const path of ["plain.zip", "empty.zip"]) {
    expect(await refusal("list_archive", { path })).toContain("neither a zip nor a tar");
  }
  const zip = await zipBytes((one) => one.addBuffer(Buffer.alloc(5_000, "ab"), "a.txt"));
  await sandbox.files.write("half.zip", zip.subarray(0, zip.length - 30));
  expect(await refusal("list_archive", { path: "half.zip" })).toContain("cannot be read");
  const header = { name: "a", size: 5_000, type: "file" as const };
  const tar = gzipSync(await tarOf({ header, body: Buffer.alloc(5_000, "ab") }));
  await sandbox.files.write("half.tar.gz", tar.subarray(0, tar.length / 2));
  expect(await refusal("extract_archive", { path: "half.tar.gz", into: "half" })).toContain("cannot be read");
  expect(await refusal("list_archive", { path: "missing.zip" })).toContain("no file");
  expect(await refusal("create_archive", { path: "a.rar", from: ["src"] })).toContain("must end with");
  expect(await refusal("create_archive", { path: "a.zip", from: ["missing"] })).toContain("no file or folder");
  expect(await refusal("create_archive", { path: "../a.zip", from: ["src"] })).toContain("path");
});
