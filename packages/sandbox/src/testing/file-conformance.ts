import { createHash, randomBytes } from "node:crypto";
import { eventually } from "@cortex/testing";
import { describe, expect, test } from "vitest";
import { freshSandbox, type Subject, textOf } from "./subject.ts";

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const names = (entries: { path: string }[]): string[] => entries.map((entry) => entry.path);

/** What files do on every provider. */
export const fileConformance = (subject: Subject): void => {
  describe("files", () => {
    test("are written whole and read back, parents made, in whatever script", async () => {
      const { sandbox } = await freshSandbox(subject);
      const entry = await sandbox.files.write("täglich/日本/notes ü.txt", "schöne Grüße 🦊\n");
      expect(entry).toMatchObject({ name: "notes ü.txt", path: "täglich/日本/notes ü.txt", type: "file", mode: 0o644 });
      expect(entry.size).toBe(Buffer.byteLength("schöne Grüße 🦊\n"));
      expect(Math.abs(Date.now() - entry.modifiedAt.getTime())).toBeLessThan(60_000);
      expect(textOf(await sandbox.files.read("/workspace/täglich/日本/notes ü.txt"))).toBe("schöne Grüße 🦊\n");
      expect((await sandbox.exec({ command: "cat 'täglich/日本/notes ü.txt'" })).stdout).toBe("schöne Grüße 🦊\n");
    });

    test("are seen by commands, and the files of commands are seen", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.files.write("in.txt", "3\n1\n2\n");
      await sandbox.exec({ command: "sort in.txt > out.txt; mkdir made; echo x > made/y" });
      expect(textOf(await sandbox.files.read("out.txt"))).toBe("1\n2\n3\n");
      expect(names((await sandbox.files.list("made")).entries)).toEqual(["made/y"]);
    });

    test("keep every byte", async () => {
      const { sandbox } = await freshSandbox(subject);
      const bytes = Buffer.from(Array.from({ length: 1024 }, (_, index) => index % 256));
      await sandbox.files.write("all.bin", bytes);
      expect(Buffer.compare(await sandbox.files.read("all.bin"), bytes)).toBe(0);
      expect((await sandbox.files.read("empty", {}).catch((error: unknown) => error)) as Error).toMatchObject({
        reason: "file_not_found",
      });
      await sandbox.files.write("empty", "");
      expect(await sandbox.files.read("empty")).toHaveLength(0);
    });

    test("of fifty megabytes stream in and out", async () => {
      const { sandbox } = await freshSandbox(subject);
      const bytes = randomBytes(50 * 1024 * 1024);
      const digest = createHash("sha256").update(bytes).digest("hex");
      const entry = await sandbox.files.write("big.bin", inChunks(bytes, 100_000));
      expect(entry.size).toBe(bytes.length);
      const read = createHash("sha256");
      const { entry: opened, body } = await sandbox.files.readStream("big.bin");
      expect(opened.size).toBe(bytes.length);
      for await (const chunk of body) read.update(chunk);
      expect(read.digest("hex")).toBe(digest);
    }, 60_000);

    test("are read in parts", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.files.write("digits", "0123456789");
      expect(textOf(await sandbox.files.read("digits", { offset: 3, length: 4 }))).toBe("3456");
      expect(textOf(await sandbox.files.read("digits", { offset: 8 }))).toBe("89");
      expect(textOf(await sandbox.files.read("digits", { offset: 20 }))).toBe("");
      await expect(sandbox.files.read("digits", { maxBytes: 9 })).rejects.toMatchObject({ reason: "file_too_large" });
    });

    test("that are left in the middle of reading let go", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.files.write("big.bin", Buffer.alloc(20 * 1024 * 1024));
      for (let round = 0; round < 20; round++) {
        const { body } = await sandbox.files.readStream("big.bin");
        for await (const chunk of body) {
          expect(chunk.length).toBeGreaterThan(0);
          break;
        }
      }
      const abort = new AbortController();
      const { body } = await sandbox.files.readStream("big.bin", {}, abort.signal);
      await body.next();
      abort.abort(new Error("the client went away"));
      await expect(body.next()).rejects.toThrow("the client went away");
      await sandbox.files.remove("big.bin");
    });

    test("that do not exist, or are no files, say so", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.files.mkdir("folder");
      await sandbox.files.write("file", "x");
      await expect(sandbox.files.read("missing")).rejects.toMatchObject({
        reason: "file_not_found",
        code: "not_found",
      });
      await expect(sandbox.files.readStream("missing/deep")).rejects.toMatchObject({ reason: "file_not_found" });
      await expect(sandbox.files.read("folder")).rejects.toMatchObject({ reason: "not_a_file" });
      await expect(sandbox.files.read("file/below")).rejects.toMatchObject({ reason: "not_a_directory" });
      await expect(sandbox.files.write("folder", "x")).rejects.toMatchObject({ reason: "not_a_file" });
      await expect(sandbox.files.write("", "x")).rejects.toMatchObject({ reason: "not_a_file" });
      await expect(sandbox.files.write("file/below", "x")).rejects.toMatchObject({ reason: "not_a_directory" });
      await expect(sandbox.files.list("missing")).rejects.toMatchObject({ reason: "file_not_found" });
      await expect(sandbox.files.list("file")).rejects.toMatchObject({ reason: "not_a_directory" });
      expect(await sandbox.files.stat("missing")).toBeNull();
    });

    test("are replaced whole, or not at all where the caller says so", async () => {
      const { sandbox } = await freshSandbox(subject);
      const first = await sandbox.files.write("a.txt", "first", { mode: 0o755 });
      await expect(sandbox.files.write("a.txt", "second", { ifExists: "fail" })).rejects.toMatchObject({
        reason: "file_exists",
      });
      const second = await sandbox.files.write("a.txt", "second", { ifMatch: first.etag });
      expect(second.mode).toBe(0o755);
      await expect(sandbox.files.write("a.txt", "third", { ifMatch: first.etag })).rejects.toMatchObject({
        reason: "file_changed",
      });
      await expect(sandbox.files.write("b.txt", "new", { ifMatch: first.etag })).rejects.toMatchObject({
        reason: "file_changed",
      });
      expect(textOf(await sandbox.files.read("a.txt"))).toBe("second");
      expect((await sandbox.files.stat("a.txt"))?.etag).toBe(second.etag);
      await sandbox.exec({ command: "echo more >> a.txt" });
      expect((await sandbox.files.stat("a.txt"))?.etag).not.toBe(second.etag);
      await sandbox.files.write("c.txt", "x", { ifExists: "fail" });
    });

    test("of many writers at once: one of them wins, whole, and nothing is left over", async () => {
      const { sandbox } = await freshSandbox(subject);
      const contents = Array.from({ length: 20 }, (_, index) => String(index).padStart(3, "0").repeat(50_000));
      await Promise.all(contents.map((content) => sandbox.files.write("contested", content)));
      expect(contents).toContain(textOf(await sandbox.files.read("contested")));
      const exclusive = await Promise.allSettled(
        contents.map((content) => sandbox.files.write("once", content, { ifExists: "fail" })),
      );
      expect(exclusive.filter((result) => result.status === "fulfilled")).toHaveLength(1);
      expect((await sandbox.exec({ command: "ls -A" })).stdout).toBe("contested\nonce\n");
    });

    test("whose writer fails or leaves are not there", async () => {
      const { sandbox } = await freshSandbox(subject);
      const failing = async function* () {
        yield Buffer.alloc(200_000);
        throw new Error("the upload broke");
      };
      await expect(sandbox.files.write("broken", failing())).rejects.toThrow("the upload broke");
      const abort = new AbortController();
      const leaving = async function* () {
        yield Buffer.alloc(200_000);
        abort.abort(new Error("the client went away"));
        yield Buffer.alloc(200_000);
      };
      await expect(sandbox.files.write("left", leaving(), {}, abort.signal)).rejects.toThrow("the client went away");
      await eventually(async () => (await sandbox.exec({ command: "ls -A" })).stdout === "");
    });

    test("are listed by name with what they are", async () => {
      const { ref, sandbox } = await freshSandbox(subject);
      expect(await sandbox.files.list("")).toEqual({ entries: [], truncated: false });
      await sandbox.files.write("b.txt", "12345");
      await sandbox.files.write("a/inner", "x");
      await sandbox.files.write(".hidden", "");
      await subject.plantLink(ref, "link", "b.txt");
      const { entries, truncated } = await sandbox.files.list("");
      expect(entries.map(({ path, type, size }) => [path, type, type === "file" ? size : null])).toEqual([
        [".hidden", "file", 0],
        ["a", "directory", null],
        ["b.txt", "file", 5],
        ["link", "symlink", null],
      ]);
      expect(truncated).toBe(false);
      const part = await sandbox.files.list("/workspace", { limit: 2 });
      expect([names(part.entries), part.truncated]).toEqual([[".hidden", "a"], true]);
      expect(names((await sandbox.files.list("a")).entries)).toEqual(["a/inner"]);
    });

    test("in great number are listed soon", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.exec({
        command: "mkdir many; for i in $(seq 1 100); do for j in 0 1 2 3 4 5 6 7 8 9; do : > many/f$i-$j; done; done",
      });
      expect((await sandbox.files.list("many")).entries).toHaveLength(1_000);
    });

    test("folders are made with their parents, and again without complaint", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.files.mkdir("a/b/c");
      await sandbox.files.mkdir("a/b/c");
      expect(await sandbox.files.stat("a/b/c")).toMatchObject({ type: "directory", name: "c" });
      expect(await sandbox.files.stat("")).toMatchObject({ type: "directory", path: "" });
      await sandbox.files.write("file", "x");
      await expect(sandbox.files.mkdir("file")).rejects.toMatchObject({ reason: "not_a_directory" });
      await expect(sandbox.files.mkdir("file/below")).rejects.toMatchObject({ reason: "not_a_directory" });
    });

    test("are moved, and over another only if the caller says so", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.files.write("a", "a");
      await sandbox.files.move("a", "new/place/b");
      expect(textOf(await sandbox.files.read("new/place/b"))).toBe("a");
      expect(await sandbox.files.stat("a")).toBeNull();
      await sandbox.files.write("c", "c");
      await expect(sandbox.files.move("c", "new/place/b")).rejects.toMatchObject({ reason: "file_exists" });
      await sandbox.files.move("c", "new/place/b", { overwrite: true });
      expect(textOf(await sandbox.files.read("new/place/b"))).toBe("c");
      await sandbox.files.move("new", "old");
      expect(names((await sandbox.files.list("old/place")).entries)).toEqual(["old/place/b"]);
      await expect(sandbox.files.move("old", "old/place/inside")).rejects.toMatchObject({ reason: "invalid_argument" });
      await expect(sandbox.files.move("missing", "x")).rejects.toMatchObject({ reason: "file_not_found" });
      await expect(sandbox.files.move("", "x")).rejects.toMatchObject({ reason: "invalid_argument" });
    });

    test("are removed, folders with content only on demand, links without their targets", async () => {
      const { ref, sandbox } = await freshSandbox(subject);
      await sandbox.files.write("folder/file", "x");
      await sandbox.files.write("kept", "kept");
      await subject.plantLink(ref, "link", "kept");
      await expect(sandbox.files.remove("folder")).rejects.toMatchObject({ reason: "directory_not_empty" });
      await sandbox.files.remove("folder", { recursive: true });
      await sandbox.files.remove("link");
      expect(names((await sandbox.files.list("")).entries)).toEqual(["kept"]);
      await sandbox.files.mkdir("empty");
      await sandbox.files.remove("empty");
      await expect(sandbox.files.remove("missing")).rejects.toMatchObject({ reason: "file_not_found" });
      await expect(sandbox.files.remove("", { recursive: true })).rejects.toMatchObject({ reason: "invalid_argument" });
    });

    test("have permission bits that can be set, but never the set-uid bit", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.files.write("script.sh", "echo ran\n", { mode: 0o600 });
      await sandbox.files.setMode("script.sh", 0o4755);
      expect((await sandbox.files.stat("script.sh"))?.mode).toBe(0o755);
      expect((await sandbox.exec({ command: "[ -x script.sh ] && echo yes" })).stdout).toBe("yes\n");
    });

    test("are found by name and by content", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.files.write("src/a.ts", "const one = 1;\nconst needle = 2;\n");
      await sandbox.files.write("src/deep/b.ts", "needle();\n");
      await sandbox.files.write("src/c.md", "no such thing\n");
      await sandbox.files.write("node_modules/x/d.ts", "needle\n");
      await sandbox.files.write("blob", Buffer.from("needle\0needle"));
      const byName = await sandbox.files.search({ glob: "**/*.ts" });
      expect(names(byName.matches)).toEqual(["src/a.ts", "src/deep/b.ts"]);
      const byText = await sandbox.files.search({ text: "needle" });
      expect(byText).toEqual({
        matches: [
          { path: "src/a.ts", line: 2, text: "const needle = 2;" },
          { path: "src/deep/b.ts", line: 1, text: "needle();" },
        ],
        truncated: false,
      });
      expect(names((await sandbox.files.search({ path: "src", glob: "*.md" })).matches)).toEqual(["src/c.md"]);
      expect(await sandbox.files.search({ text: "needle", limit: 1 })).toMatchObject({ truncated: true });
      expect(names((await sandbox.files.search({ glob: "**/d.ts", exclude: [] })).matches)).toEqual([
        "node_modules/x/d.ts",
      ]);
      await expect(sandbox.files.search({ path: "missing" })).rejects.toMatchObject({ reason: "file_not_found" });
    });
  });
};
