import { eventually, refusalOf } from "@cortex/testing";
import { describe, expect, test } from "vitest";
import type { ExecOutput, KilledProcesses } from "../port/sandbox.ts";
import { freshSandbox, type Subject, textOf } from "./subject.ts";

/** What a command does on every provider. */
export const commandConformance = (subject: Subject): void => {
  describe("commands", () => {
    test("answer with exit code and both streams apart", async () => {
      const { sandbox } = await freshSandbox(subject);
      const result = await sandbox.exec({ command: "echo out; echo err >&2; exit 3" });
      expect(result).toMatchObject({
        exitCode: 3,
        stdout: "out\n",
        stderr: "err\n",
        timedOut: false,
        truncated: false,
      });
      expect(await sandbox.exec({ command: "true" })).toMatchObject({ exitCode: 0, stdout: "", stderr: "" });
      expect((await sandbox.exec({ command: "no-such-program-here" })).exitCode).toBe(127);
      expect((await sandbox.exec({ command: "if then" })).exitCode).toBe(2);
    });

    test("begin in the workspace or in a folder of it", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.files.write("a/b/here.txt", "x");
      expect((await sandbox.exec({ command: "pwd" })).stdout).toBe("/workspace\n");
      expect((await sandbox.exec({ command: "pwd; ls", cwd: "a/b" })).stdout).toBe("/workspace/a/b\nhere.txt\n");
      expect((await sandbox.exec({ command: "pwd", cwd: "/workspace/a" })).stdout).toBe("/workspace/a\n");
      await expect(sandbox.exec({ command: "pwd", cwd: "/etc" })).rejects.toMatchObject({
        reason: "path_outside_workspace",
      });
      await expect(sandbox.exec({ command: "pwd", cwd: "missing" })).rejects.toMatchObject({
        reason: "file_not_found",
      });
      await expect(sandbox.exec({ command: "pwd", cwd: "a/b/here.txt" })).rejects.toMatchObject({
        reason: "not_a_directory",
      });
    });

    test("see the environment they are given, and not that of other commands", async () => {
      const { sandbox } = await freshSandbox(subject);
      const env = { GREETING: "grüß dich", EMPTY: "" };
      const result = await sandbox.exec({ command: 'echo "$GREETING|$EMPTY|$HOME"', env });
      expect(result.stdout).toBe("grüß dich||/home/user\n");
      expect((await sandbox.exec({ command: 'echo "[$GREETING]"' })).stdout).toBe("[]\n");
      await expect(sandbox.exec({ command: "true", env: { "NOT A NAME": "1" } })).rejects.toMatchObject({
        reason: "invalid_argument",
      });
      await expect(sandbox.exec({ command: "true", env: { A: "nul\0" } })).rejects.toMatchObject({
        reason: "invalid_argument",
      });
      await expect(sandbox.exec({ command: "echo \0" })).rejects.toMatchObject({ reason: "invalid_argument" });
    });

    test("read their stdin to its end, and find it empty if there is none", async () => {
      const { sandbox } = await freshSandbox(subject);
      expect((await sandbox.exec({ command: "cat; echo end" })).stdout).toBe("end\n");
      expect((await sandbox.exec({ command: "cat", stdin: "zwei Zeilen\nmit ü\n" })).stdout).toBe(
        "zwei Zeilen\nmit ü\n",
      );
      const bytes = Buffer.alloc(300_000, "0123456789");
      expect((await sandbox.exec({ command: "wc -c", stdin: bytes })).stdout.trim()).toBe("300000");
      // One that does not want its stdin is no failure.
      expect((await sandbox.exec({ command: "exit 4", stdin: bytes })).exitCode).toBe(4);
    });

    test("print Unicode whole, however it is cut on the way", async () => {
      const { sandbox } = await freshSandbox(subject);
      const text = "äöü 漢字 🦊 ".repeat(20_000);
      await sandbox.files.write("text", text);
      const chunks: ExecOutput[] = [];
      const result = await sandbox.exec({ command: "cat text", onOutput: (chunk) => void chunks.push(chunk) });
      expect(result.stdout).toBe(text);
      expect(chunks.map((chunk) => chunk.text).join("")).toBe(text);
    });

    test("have long output kept in the workspace, all of it and beyond what leaves the sandbox", async () => {
      const { sandbox } = await freshSandbox(subject);
      const keep = { path: "kept/out.txt", aboveBytes: 100, maxBytes: 1_000_000 };
      const numbers = Array.from({ length: 20_000 }, (_, n) => `${n + 1}\n`).join("");
      const long = await sandbox.exec({ command: "seq 1 20000; echo end >&2", maxOutputBytes: 1_000, keep });
      expect(long.kept).toEqual({ path: "kept/out.txt", bytes: numbers.length + 4, complete: true });
      expect(long.truncated).toBe(true);
      const kept = textOf(await sandbox.files.read("kept/out.txt"));
      expect(kept.replace("end\n", "")).toBe(numbers);

      const bounded = await sandbox.exec({ command: "seq 1 20000", keep: { ...keep, maxBytes: 500 } });
      expect(bounded.kept).toEqual({ path: "kept/out.txt", bytes: 500, complete: false });
      expect(bounded.stdout).toBe(numbers);
      expect(textOf(await sandbox.files.read("kept/out.txt"))).toBe(numbers.slice(0, 500));

      const short = await sandbox.exec({ command: "echo hi", keep: { ...keep, path: "kept/short.txt" } });
      expect(short.kept).toBeNull();
      expect(await sandbox.files.stat("kept/short.txt")).toBeNull();

      // Keeping fails no command.
      await sandbox.files.mkdir("folder");
      const impossible = await sandbox.exec({ command: "seq 1 1000", keep: { ...keep, path: "folder" } });
      expect(impossible).toMatchObject({ exitCode: 0, kept: null });
      await expect(sandbox.exec({ command: "true", keep: { ...keep, path: "../out" } })).rejects.toMatchObject({
        reason: "path_outside_workspace",
      });
    });

    test("are cut off at their timeout", async () => {
      const { sandbox } = await freshSandbox(subject);
      const startedAt = performance.now();
      const result = await sandbox.exec({ command: "sleep 30", timeoutMs: 300 });
      expect(result).toMatchObject({ exitCode: 124, timedOut: true });
      expect(performance.now() - startedAt).toBeLessThan(5_000);
      expect((await sandbox.exec({ command: "echo usable" })).stdout).toBe("usable\n");
    });

    test("are cut off at their timeout even in a loop that never yields", async () => {
      const { sandbox } = await freshSandbox(subject);
      const result = await sandbox.exec({ command: "awk 'BEGIN { while (1) i++ }'", timeoutMs: 300 });
      expect(result).toMatchObject({ exitCode: 124, timedOut: true });
      expect((await sandbox.exec({ command: "echo usable" })).stdout).toBe("usable\n");
    });

    test("end when their caller aborts, with the caller's reason", async () => {
      const { sandbox } = await freshSandbox(subject);
      const reason = new Error("the user pressed stop");
      const abort = new AbortController();
      const killed: KilledProcesses[] = [];
      const running = sandbox.exec(
        { command: "touch started; sleep 30; touch finished", onKilled: (what) => killed.push(what) },
        abort.signal,
      );
      const ended = running.catch((error: unknown) => error);
      await eventually(() => sandbox.files.stat("started"));
      const abortedAt = performance.now();
      abort.abort(reason);
      expect(await ended).toBe(reason);
      expect(performance.now() - abortedAt).toBeLessThan(5_000);
      expect(killed).toHaveLength(1);
      // Where there are no processes, there are none to count.
      expect(typeof killed[0]?.processes).toBe(sandbox.capabilities.processes ? "number" : "object");
      expect(killed[0]?.sandboxStopped).toBe(!sandbox.capabilities.processes);
      const onKilled = () => expect.unreachable("a command that never began was not killed");
      await expect(sandbox.exec({ command: "touch never", onKilled }, AbortSignal.abort(reason))).rejects.toBe(reason);
      expect((await sandbox.exec({ command: "ls" })).stdout).toBe("started\n");
    });

    test("fail with what the caller's own listener throws", async () => {
      const { sandbox } = await freshSandbox(subject);
      const failure = new Error("the listener broke");
      const onOutput = () => {
        throw failure;
      };
      await expect(sandbox.exec({ command: "echo out", onOutput })).rejects.toBe(failure);
      expect((await sandbox.exec({ command: "echo usable" })).stdout).toBe("usable\n");
    });

    test("keep the beginning and the end of what is too much, and say so", async () => {
      const { sandbox } = await freshSandbox(subject);
      const result = await sandbox.exec({
        command: "echo first; seq 1 60000; echo last",
        maxOutputBytes: 20_000,
      });
      expect(result).toMatchObject({ exitCode: 0, truncated: true });
      expect(result.stdout).toMatch(/^first\n1\n2\n/);
      expect(result.stdout).toMatch(/\[\.\.\. \d+ bytes left out \.\.\.\]/);
      expect(result.stdout).toMatch(/\n59999\n60000\nlast\n$/);
      expect(result.stdout.length).toBeLessThan(20_100);
    });

    test("run at the same time as others", async () => {
      const { sandbox } = await freshSandbox(subject);
      const numbers = Array.from({ length: 20 }, (_, index) => index);
      const results = await Promise.all(
        numbers.map((number) =>
          sandbox.exec({ command: `echo ${number} > f${number}; cat f${number}; echo $N`, env: { N: `n${number}` } }),
        ),
      );
      expect(results.map((result) => result.stdout)).toEqual(numbers.map((number) => `${number}\nn${number}\n`));
    });
  });
};

/** What a command does where real processes run. */
export const processConformance = (subject: Subject): void => {
  describe("processes", () => {
    const running = async (
      sandbox: { exec: (input: { command: string }) => Promise<{ stdout: string }> },
      words: string,
    ) => {
      const command = `for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline; echo; done 2>/dev/null | grep -c "^${words} $"`;
      return Number((await sandbox.exec({ command })).stdout);
    };

    test("their output arrives while they run", async () => {
      const { sandbox } = await freshSandbox(subject);
      const chunks: ExecOutput[] = [];
      const result = sandbox.exec({
        command: "echo one; echo two >&2; until [ -e go ]; do sleep 0.02; done; echo three",
        onOutput: (chunk) => void chunks.push(chunk),
      });
      await eventually(() => chunks.length >= 2);
      expect(chunks).toContainEqual({ stream: "stdout", text: "one\n" });
      expect(chunks).toContainEqual({ stream: "stderr", text: "two\n" });
      await sandbox.files.write("go", "");
      expect((await result).stdout).toBe("one\nthree\n");
      expect(chunks.at(-1)).toEqual({ stream: "stdout", text: "three\n" });
    });

    test("the whole group dies at the timeout", async () => {
      const { sandbox } = await freshSandbox(subject);
      const result = await sandbox.exec({ command: "sleep 4711 & (sleep 4711 & sleep 4711) & wait", timeoutMs: 400 });
      expect(result).toMatchObject({ exitCode: 124, timedOut: true });
      await eventually(async () => (await running(sandbox, "sleep 4711")) === 0);
    });

    test("the whole group dies at an abort", async () => {
      const { sandbox } = await freshSandbox(subject);
      const abort = new AbortController();
      const killed: KilledProcesses[] = [];
      const command = "sleep 4712 & sleep 4712; true";
      const aborted = sandbox.exec({ command, onKilled: (what) => killed.push(what) }, abort.signal);
      const ended = refusalOf(aborted);
      await eventually(async () => (await running(sandbox, "sleep 4712")) === 2);
      abort.abort(new Error("enough"));
      expect(await ended).toBe("enough");
      // The shell and its two children, as the caller is told.
      expect(killed).toEqual([{ processes: 3, sandboxStopped: false }]);
      // The command was ended, not the sandbox around it.
      expect(await running(sandbox, "sleep 4712")).toBe(0);
      expect(sandbox.takeNotices()).toEqual([]);
    });

    test("a timeout keeps what was printed before it", async () => {
      const { sandbox } = await freshSandbox(subject);
      const result = await sandbox.exec({ command: "echo before; sleep 30", timeoutMs: 500 });
      expect(result).toMatchObject({ exitCode: 124, stdout: "before\n" });
    });

    test("a death by signal has the exit code that shells give it", async () => {
      const { sandbox } = await freshSandbox(subject);
      expect((await sandbox.exec({ command: "kill -TERM $$" })).exitCode).toBe(143);
    });

    test("what is left in the background goes on, holds up nobody, and may go on printing", async () => {
      const { sandbox } = await freshSandbox(subject);
      const command = "(until [ -e go ]; do echo noise; sleep 0.02; done; echo done > done) & echo left";
      const startedAt = performance.now();
      const result = await sandbox.exec({ command });
      expect(result.stdout).toMatch(/^(noise\n)*left\n(noise\n)*$/);
      expect(performance.now() - startedAt).toBeLessThan(4_000);
      // Time to print some more, into nothing.
      await sandbox.exec({ command: "sleep 0.2" });
      await sandbox.files.write("go", "");
      await eventually(() => sandbox.files.stat("done"));
    });

    test("a silent background process costs the call nothing", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.exec({ command: "true" });
      const startedAt = performance.now();
      await sandbox.exec({ command: "sleep 4713 & echo left" });
      expect(performance.now() - startedAt).toBeLessThan(1_000);
      expect(await running(sandbox, "sleep 4713")).toBe(1);
    });

    test("a slow listener holds the command back instead of filling our memory", async () => {
      const { sandbox } = await freshSandbox(subject);
      const gate = Promise.withResolvers<void>();
      let heard = 0;
      const command = "head -c 6000000 /dev/zero | tr '\\0' x; echo; touch printed";
      const running = sandbox.exec({
        command,
        maxOutputBytes: 8_000_000,
        onOutput: async ({ text }) => {
          heard += text.length;
          await gate.promise;
        },
      });
      await eventually(() => heard > 0);
      // The command has filled the window and the pipe, and stands still; it would need milliseconds for all of it.
      expect((await sandbox.exec({ command: "sleep 0.5; ls" })).stdout).not.toContain("printed");
      expect(heard).toBeLessThan(100_000);
      gate.resolve();
      expect((await running).stdout.length).toBe(6_000_001);
      expect(heard).toBe(6_000_001);
    });

    test("a gigabyte of output costs no memory", async () => {
      const { sandbox } = await freshSandbox(subject);
      await sandbox.exec({ command: "true" });
      const before = process.memoryUsage();
      const result = await sandbox.exec({ command: "head -c 1000000000 /dev/zero; echo end >&2", timeoutMs: 60_000 });
      const after = process.memoryUsage();
      expect(result).toMatchObject({ exitCode: 0, truncated: true, stderr: expect.stringContaining("end") as string });
      expect(Buffer.byteLength(result.stdout)).toBeLessThan(1_100_000);
      expect(after.rss - before.rss).toBeLessThan(100 * 1024 ** 2);
    }, 60_000);

    test("programs of the system work", async () => {
      const { sandbox } = await freshSandbox(subject);
      const result = await sandbox.exec({
        command: "node -p '6*7' && id -un && test -w /tmp && echo tmp > /tmp/x && cat /tmp/x",
      });
      expect(result).toMatchObject({ stdout: "42\nuser\ntmp\n", stderr: "" });
      expect(textOf(await sandbox.files.read((await sandbox.files.write("n.txt", "n")).path))).toBe("n");
    });
  });
};
