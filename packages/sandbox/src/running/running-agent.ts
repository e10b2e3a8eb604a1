import { spawn, type StdioOptions } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Readable } from "node:stream";
import { SandboxError } from "../port/errors.ts";
import { AgentLink, type LinkOptions } from "./agent-link.ts";
import { inheritableDescriptors } from "./inheritable-descriptors.ts";

/** How to start the process that holds an agent. */
export interface AgentCommand {
  program: string;
  args: readonly string[];
  /** The whole environment of the process: nothing of ours goes along. */
  env: Readonly<Record<string, string>>;
}

/** A process with an agent that listens. */
export interface RunningAgent {
  pid: number;
  link: AgentLink;
  /** Resolves when the process has ended, for whatever reason. */
  exited: Promise<void>;
  /** Ends it and everything in it, at once. Resolves when it has ended. */
  stop(): Promise<void>;
}

/** A start takes tens of milliseconds; on a machine that swaps, seconds. Beyond this it will not come up. */
const startTimeoutMs = 15_000;
const maxComplaintBytes = 4_000;

/** The last words of a process, for the log: bounded, one line. */
const collectComplaints = (stderr: Readable): (() => string) => {
  let text = "";
  stderr.setEncoding("utf8");
  stderr.on("data", (chunk: string) => {
    text = (text + chunk).slice(-maxComplaintBytes);
  });
  return () => text.trim().replaceAll(/\s+/g, " ");
};

/**
 * Starts the process with three pipes and nothing else of ours. Whatever else we hold open and have not marked as ours alone is covered
 * with /dev/null: it may be a log, a socket or a secret of whoever started us.
 */
const spawnSealed = (command: AgentCommand) => {
  const nothing = openSync("/dev/null", "r");
  try {
    const stdio: StdioOptions = ["pipe", "pipe", "pipe"];
    for (const descriptor of inheritableDescriptors()) {
      while (stdio.length < descriptor) stdio.push("ignore");
      stdio[descriptor] = nothing;
    }
    // In a session of its own: a Ctrl-C in the terminal is for us to handle, not for the commands of a run to die of.
    const child = spawn(command.program, command.args, { stdio, env: command.env, cwd: "/", detached: true });
    const { stdin, stdout, stderr } = child;
    if (stdin === null || stdout === null || stderr === null) throw new TypeError("a process without pipes");
    return { child, stdin, stdout, stderr };
  } finally {
    closeSync(nothing);
  }
};

/**
 * Starts the process and waits for its agent.
 * @throws SandboxError `sandbox_unavailable` with what the process said, if it does not come up
 */
export const startAgent = async (command: AgentCommand, options: LinkOptions): Promise<RunningAgent> => {
  const { child, stdin, stdout, stderr } = spawnSealed(command);
  const complaints = collectComplaints(stderr);
  const exit = Promise.withResolvers<void>();
  const link = new AgentLink({ input: stdout, output: stdin }, options);

  child.once("exit", (code, signal) => {
    link.break(
      new SandboxError("sandbox_stopped", "The sandbox stopped.", { cause: new Error(`exit ${code ?? signal}`) }),
    );
    exit.resolve();
  });
  child.once("error", (error) => {
    link.break(new SandboxError("sandbox_unavailable", "The sandbox could not be started.", { cause: error }));
    // Without a process there is no exit to wait for.
    if (child.pid === undefined) exit.resolve();
  });
  // A broken link is of no use to anybody: nobody could ever stop what runs behind it.
  void link.broken.then(() => child.kill("SIGKILL"));

  const timer = setTimeout(
    () => link.break(new SandboxError("sandbox_unavailable", "The sandbox did not start in time.")),
    startTimeoutMs,
  );
  try {
    await link.ready;
  } catch (error) {
    await exit.promise;
    const said = complaints() || (error instanceof Error ? error.message : String(error));
    throw new SandboxError("sandbox_unavailable", `The sandbox could not be started: ${said}`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
  return {
    pid: child.pid ?? 0,
    link,
    exited: exit.promise,
    stop: async () => {
      link.break(new SandboxError("sandbox_stopped", "The sandbox was stopped."));
      await exit.promise;
    },
  };
};
