import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { Arguments } from "./arguments.ts";
import { BoundedOutput } from "./bounded-output.ts";
import type { Call, Handler } from "./calls.ts";
import { locateFolder, type Workspace } from "./confine.ts";
import { Channel } from "./frames.ts";
import { errnoOf, OperationError, operationErrorFrom } from "./operation-error.ts";
import { type KeptFile, keptOutputOf } from "./kept-output.ts";
import { groupSize, killGroup } from "./process-group.ts";

/** How a command ended; `ExecResult` of the port without its output. */
export interface CommandEnd {
  exit_code: number;
  timed_out: boolean;
  /** Processes that a cancellation has ended; null if some were and nobody counted them. */
  killed: number | null;
  dropped: { stdout: number; stderr: number };
  kept: KeptFile | null;
  duration_ms: number;
}

/**
 * A background process may keep the shell's output open after the shell's end. Output counts as complete when the pipe is closed, or has
 * been quiet for `quietMs`, or at the latest after `maxDrainMs`, so that a chatty background process cannot hold the call.
 */
const quietMs = 50;
const maxDrainMs = 1_000;

/** As shells have it. */
const timeoutExitCode = 124;
const exitCodeOf = (code: number | null, signal: NodeJS.Signals | null): number =>
  code ?? 128 + (signal === null ? 0 : constants.signals[signal]);

export interface Shell {
  /** `bash`, or what there is. */
  program: string;
  /** What every command finds in its environment. */
  env: Readonly<Record<string, string | undefined>>;
}

const start = async (shell: Shell, values: Arguments, cwd: string): Promise<ChildProcess> => {
  try {
    const child = spawn(shell.program, ["-c", values.text("command")], {
      cwd,
      env: { ...shell.env, ...values.record("env") },
      // A group of its own, so that a timeout can kill all of it.
      detached: true,
      stdio: [values.flag("has_stdin") ? "pipe" : "ignore", "pipe", "pipe"],
    });
    // Rejects with what "error" carries.
    await once(child, "spawn");
    return child;
  } catch (error) {
    const code = errnoOf(error);
    if (code === "E2BIG") throw new OperationError("invalid_argument", "The command and its environment are too long.");
    if (code === "EAGAIN" || code === "ENOMEM") {
      throw new OperationError("process_limit", "The sandbox can start no more processes.");
    }
    throw operationErrorFrom(error, "the shell");
  }
};

/** Feeds the command; that it does not want all of it, or dies before, is its own business. */
const feed = async (child: ChildProcess, body: Call["body"]): Promise<void> => {
  if (child.stdin === null) return;
  try {
    await pipeline(Readable.from(body), child.stdin);
  } catch (error) {
    if (!["EPIPE", "ERR_STREAM_PREMATURE_CLOSE", "ECONNRESET"].includes(errnoOf(error) ?? "")) throw error;
  }
};

/** Runs a shell command as a process group. */
export const runCommand =
  (workspace: Workspace, shell: Shell): Handler =>
  async (call) => {
    const values = new Arguments(call.args);
    const located = await locateFolder(workspace, values.text("cwd"));
    const output = new BoundedOutput(call.send, values.count("max_output_bytes"));
    const kept = keptOutputOf(workspace, values);
    const startedAt = performance.now();
    const child = await start(shell, values, located);

    let timedOut = false;
    let settled = false;
    let lastOutputAt = startedAt;
    const timeoutMs = values.count("timeout_ms");
    const deadline = setTimeout(() => {
      timedOut = true;
      killGroup(child.pid);
    }, timeoutMs);
    let killed: number | null = 0;
    const cancel = () => {
      killed = groupSize(child.pid);
      killGroup(child.pid);
    };
    call.signal.addEventListener("abort", cancel);
    if (call.signal.aborted) cancel();

    // Goes on after the call has ended, so that a background process does not die of a closed pipe; then it drops what it reads.
    const pump = async (stream: Readable | null, channel: typeof Channel.stdout | typeof Channel.stderr) => {
      for await (const chunk of stream ?? []) {
        lastOutputAt = performance.now();
        if (settled || !(chunk instanceof Uint8Array)) continue;
        await kept?.write(chunk);
        await output.write(channel, chunk);
      }
    };
    const pumps = Promise.all([pump(child.stdout, Channel.stdout), pump(child.stderr, Channel.stderr)]).catch(() => {
      // The pipe broke: what was read of it is all there is.
    });
    const fed = feed(child, call.body);

    const exited = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
    const [code, signal] = await exited;
    const exitedAt = performance.now();
    child.stdin?.destroy();
    // After its end the shell's group is left alone: what still runs in it was meant to.
    clearTimeout(deadline);
    call.signal.removeEventListener("abort", cancel);

    const isDrained = (): boolean => {
      if (call.signal.aborted) return true;
      const now = performance.now();
      if (call.heldBack()) return now - startedAt >= timeoutMs;
      return now - lastOutputAt >= quietMs || now - exitedAt >= maxDrainMs;
    };
    let open = true;
    const closed = pumps.then(() => {
      open = false;
    });
    while (open) {
      await Promise.race([closed, sleep(quietMs)]);
      if (open && isDrained()) break;
    }
    settled = true;
    await fed;
    const end: CommandEnd = {
      exit_code: timedOut ? timeoutExitCode : exitCodeOf(code, signal),
      timed_out: timedOut,
      killed,
      dropped: await output.finish(),
      kept: (await kept?.finish()) ?? null,
      duration_ms: exitedAt - startedAt,
    };
    return end;
  };
