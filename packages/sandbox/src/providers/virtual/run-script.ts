import { Bash, InMemoryFs, MountableFs, ReadWriteFs } from "just-bash";
import { Arguments } from "../../agent/arguments.ts";
import { BoundedOutput } from "../../agent/bounded-output.ts";
import type { Handler } from "../../agent/calls.ts";
import { locateFolder, type Workspace } from "../../agent/confine.ts";
import { Channel } from "../../agent/frames.ts";
import { keptOutputOf } from "../../agent/kept-output.ts";
import type { CommandEnd } from "../../agent/run-command.ts";

const mebibyte = 1024 ** 2;

/**
 * Bounds of one script. Loops are bounded so that a script whose host has died ends by itself, within a minute or two; what bounds a
 * script whose host is alive is its timeout.
 */
const limits = {
  maxCommandCount: 10_000_000,
  maxLoopIterations: 10_000_000,
  maxAwkIterations: 10_000_000,
  maxWorkUnits: 100_000_000,
  maxOutputSize: 32 * mebibyte,
  maxFileSystemBytes: 64 * mebibyte,
  maxLiveBytes: 128 * mebibyte,
  maxInputBytes: 128 * mebibyte,
};
const maxFileReadBytes = 64 * mebibyte;

/** A file system of the script's own, in memory, with the workspace mounted into it. Symlinks are neither followed nor made. */
const fileSystem = (workspace: Workspace): MountableFs => {
  const files = new MountableFs({ base: new InMemoryFs({ "/tmp/.keep": "", "/home/user/.keep": "" }) });
  files.mount("/workspace", new ReadWriteFs({ root: workspace.root, maxFileReadSize: maxFileReadBytes }));
  return files;
};

const bytesOf = async (body: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
};

/**
 * Runs a script in the interpreter. Output comes once, at the end; what is put in the background is waited for.
 * The host sends one script at a time (see `one-at-a-time.ts`).
 */
export const runScript = (workspace: Workspace): Handler => {
  const files = fileSystem(workspace);
  return async (call) => {
    const values = new Arguments(call.args);
    const cwd = values.text("cwd");
    await locateFolder(workspace, cwd);
    const timeoutMs = values.count("timeout_ms");
    const bash = new Bash({
      fs: files,
      cwd: cwd === "" ? "/workspace" : `/workspace/${cwd}`,
      env: { HOME: "/home/user", USER: "user", LANG: "C.UTF-8" },
      executionLimits: { ...limits, maxExecutionTimeMs: timeoutMs },
    });
    const stdin = values.flag("has_stdin") ? await bytesOf(call.body) : Buffer.alloc(0);
    const output = new BoundedOutput(call.send, values.count("max_output_bytes"));

    const startedAt = performance.now();
    const result = await bash.exec(values.text("command"), {
      env: values.record("env"),
      rawScript: true,
      stdin: stdin.toString("latin1"),
      stdinKind: "bytes",
      signal: call.signal,
    });
    const durationMs = performance.now() - startedAt;

    const stdout = Buffer.from(result.stdout, result.stdoutKind === "bytes" ? "latin1" : "utf8");
    const stderr = Buffer.from(result.stderr, "utf8");
    const kept = keptOutputOf(workspace, values);
    await kept?.write(stdout);
    await kept?.write(stderr);
    await output.write(Channel.stdout, stdout);
    await output.write(Channel.stderr, stderr);
    const timedOut = result.exitCode === 124 && durationMs >= timeoutMs;
    const end: CommandEnd = {
      exit_code: result.exitCode,
      timed_out: timedOut,
      // A script that had to be ended takes its process with it, which the host sees to and says.
      killed: null,
      dropped: await output.finish(),
      kept: (await kept?.finish()) ?? null,
      duration_ms: durationMs,
    };
    return end;
  };
};
