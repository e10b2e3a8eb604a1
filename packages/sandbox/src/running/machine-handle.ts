import type { Duplex } from "node:stream";
import { SandboxError } from "../port/errors.ts";
import type { SandboxFiles } from "../port/files.ts";
import {
  type ConnectInput,
  defaultExecTimeoutMs,
  defaultMaxOutputBytes,
  type ExecInput,
  type ExecResult,
  type KilledProcesses,
  type Sandbox,
  type SandboxCapabilities,
  type SandboxNotice,
  type SandboxProviderName,
} from "../port/sandbox.ts";
import { parseWorkspacePath } from "../port/workspace-path.ts";
import type { AgentLink } from "./agent-link.ts";
import { CollectedOutput } from "./collected-output.ts";
import type { Machine } from "./machine.ts";
import { machineFiles } from "./machine-files.ts";
import { openTunnel } from "./tunnel.ts";
import { parseAnswer, WireCommandEnd } from "./wire.ts";

const environmentName = /^[A-Za-z_][A-Za-z0-9_]*$/;

const checkedInput = (input: ExecInput): Record<string, unknown> => {
  if (input.command.includes("\0")) throw new SandboxError("invalid_argument", "The command must not contain NUL.");
  for (const [name, value] of Object.entries(input.env ?? {})) {
    if (!environmentName.test(name) || value.includes("\0")) {
      throw new SandboxError("invalid_argument", `This is not a valid environment variable: ${JSON.stringify(name)}`);
    }
  }
  return {
    command: input.command,
    cwd: parseWorkspacePath(input.cwd ?? ""),
    env: input.env ?? {},
    has_stdin: input.stdin !== undefined,
    timeout_ms: input.timeoutMs ?? defaultExecTimeoutMs,
    max_output_bytes: input.maxOutputBytes ?? defaultMaxOutputBytes,
    keep_path: input.keep === undefined ? null : parseWorkspacePath(input.keep.path),
    keep_above_bytes: input.keep?.aboveBytes ?? null,
    keep_max_bytes: input.keep?.maxBytes ?? null,
  };
};

const killedBy = (end: { answer: unknown } | "stopped"): KilledProcesses =>
  end === "stopped"
    ? { processes: null, sandboxStopped: true }
    : { processes: parseAnswer(WireCommandEnd, end.answer).killed, sandboxStopped: false };

async function* stdinOf(stdin: string | Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield typeof stdin === "string" ? new TextEncoder().encode(stdin) : stdin;
}

/** A sandbox that is a process on this machine, as a tool sees it. */
export class MachineHandle implements Sandbox {
  readonly id: string;
  readonly provider: SandboxProviderName;
  readonly capabilities: SandboxCapabilities;
  readonly files: SandboxFiles;
  readonly #machine: Machine;
  readonly #timeoutGraceMs: number;
  /** The start of the machine that this handle's last call met. */
  #known: number | null = null;
  #notices: SandboxNotice[];

  /** @param options.timeoutGraceMs what the agent may need beyond a command's timeout to end it */
  constructor(options: {
    id: string;
    provider: SandboxProviderName;
    capabilities: SandboxCapabilities;
    machine: Machine;
    notices: readonly SandboxNotice[];
    timeoutGraceMs: number;
  }) {
    this.id = options.id;
    this.provider = options.provider;
    this.capabilities = options.capabilities;
    this.#machine = options.machine;
    this.#notices = [...options.notices];
    this.#timeoutGraceMs = options.timeoutGraceMs;
    this.files = machineFiles((work) => this.#use(work));
  }

  async exec(input: ExecInput, signal?: AbortSignal): Promise<ExecResult> {
    signal?.throwIfAborted();
    const args = checkedInput(input);
    const timeoutMs = input.timeoutMs ?? defaultExecTimeoutMs;
    const output = new CollectedOutput(input.onOutput);
    let startedAt: number | null = null;
    try {
      const answer = await this.#use((link) => {
        startedAt = performance.now();
        return link.call("exec", args, {
          signal,
          body: input.stdin === undefined ? null : stdinOf(input.stdin),
          onData: (channel, data) => output.add(channel, data),
          deadlineMs: timeoutMs + this.#timeoutGraceMs,
          onCancelled: (end) => {
            const killed = killedBy(end);
            if (killed.processes !== 0) input.onKilled?.(killed);
          },
        });
      });
      const end = parseAnswer(WireCommandEnd, answer);
      return {
        exitCode: end.exit_code,
        ...output.finish(end.dropped),
        timedOut: end.timed_out,
        kept: end.kept,
        durationMs: end.duration_ms,
      };
    } catch (error) {
      const elapsed = startedAt === null ? 0 : performance.now() - startedAt;
      // The agent could not end the command, so the machine was stopped: for the caller that is a timeout, and the next call says the rest.
      if (error instanceof SandboxError && error.reason === "sandbox_stopped" && elapsed >= timeoutMs) {
        const drained = output.finish({ stdout: 0, stderr: 0 });
        return { exitCode: 124, ...drained, timedOut: true, kept: null, durationMs: elapsed };
      }
      throw error;
    }
  }

  async connect({ port, passive = false }: ConnectInput, signal?: AbortSignal): Promise<Duplex> {
    signal?.throwIfAborted();
    if (!this.capabilities.preview) {
      throw new SandboxError("not_supported", `A ${this.provider} sandbox runs no servers, so it has no ports.`);
    }
    const open = (link: AgentLink) => openTunnel(link, this.#machine.connections, port, signal);
    return passive ? this.#machine.visit(open) : this.#use(open);
  }

  takeNotices(): SandboxNotice[] {
    const notices = this.#notices;
    this.#notices = [];
    return notices;
  }

  #use<Result>(work: (link: AgentLink) => Promise<Result>): Promise<Result> {
    return this.#machine.use((link, generation) => {
      if (this.#known !== null && this.#known !== generation) {
        this.#notices.push({
          kind: "restarted",
          text: "The sandbox was restarted: background processes and temporary files are gone, the workspace is as it was.",
        });
      }
      this.#known = generation;
      return work(link);
    });
  }
}
