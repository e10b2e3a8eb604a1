import type { Duplex } from "node:stream";
import type { SandboxFiles } from "./files.ts";

export type SandboxProviderName = "daytona" | "local" | "virtual";

/** What a provider can do, so that tools and people are told instead of surprised. */
export interface SandboxCapabilities {
  /** Real programs run, and a process left in the background survives its call. */
  processes: boolean;
  /** Output arrives while the command runs. Otherwise it arrives once, at the end. */
  liveOutput: boolean;
  /** Commands reach the internet. */
  network: boolean;
  /** `connect` works, so a port of the sandbox can be shown to a user. */
  preview: boolean;
  /** A stopped sandbox can be put away and brought back. */
  archive: boolean;
  /** Limits that the provider really enforces; what is not listed is not limited. */
  limits: readonly SandboxLimit[];
}

export type SandboxLimit = "processes" | "file_size" | "temporary_files" | "memory" | "disk" | "cpu";

/**
 * What tools get: a computer with files. A handle is cheap, holds nothing and may be kept for the length of a run; the computer
 * behind it starts when the first call needs it and may be shared with other handles.
 */
export interface Sandbox {
  readonly id: string;
  readonly provider: SandboxProviderName;
  readonly capabilities: SandboxCapabilities;
  readonly files: SandboxFiles;

  /**
   * Runs a shell command (`bash -c`) in the workspace.
   *
   * The call ends when the shell ends; processes it left in the background go on, and their later output is dropped. At the timeout
   * the whole process group is killed and the result says so. An abort kills the group as well, tells `onKilled`, and throws the signal's
   * reason. What has left the group (a daemon with a session of its own), or was left in the background by an earlier call, goes on.
   *
   * @throws SandboxError `sandbox_stopped` if the sandbox died meanwhile; `file_not_found` or `not_a_directory` for `cwd`;
   *   `process_limit`; `invalid_argument`
   */
  exec(input: ExecInput, signal?: AbortSignal): Promise<ExecResult>;

  /**
   * A byte stream to a port of the sandbox's loopback: its two sides end for themselves (a stream that is ended still reads), it is taken
   * and sent only as fast as the other end takes it, and destroying it resets the connection. It is destroyed with a SandboxError:
   * `connection_reset` if the server breaks it, `sandbox_stopped` if the sandbox stops. At most `maxConnections` at once.
   *
   * An open connection does not keep the sandbox from being idle; opening one does, as any call.
   * @param signal for as long as the connection lives; its reason is what the stream is destroyed with
   * @throws SandboxError `connection_refused`, `not_supported`; `sandbox_stopped` (with `passive`) if it does not run
   */
  connect(input: ConnectInput, signal?: AbortSignal): Promise<Duplex>;

  /**
   * What happened to the computer since this handle last looked, in sentences for the model and the user: take them after a call and
   * show them beside its result. Empty nearly always.
   */
  takeNotices(): SandboxNotice[];
}

export interface ConnectInput {
  port: number;
  /** For a visitor, who neither starts the sandbox (nothing would listen in it) nor keeps it from being idle. */
  passive?: boolean;
}

export interface ExecInput {
  command: string;
  /** Folder inside the workspace, default the workspace itself. */
  cwd?: string;
  /** Added to the sandbox's own environment. Nothing of the host's environment is ever in it. */
  env?: Readonly<Record<string, string>>;
  /** Fed to the command, then closed. Default: empty. */
  stdin?: string | Uint8Array;
  /** Milliseconds, default `defaultExecTimeoutMs`. */
  timeoutMs?: number;
  /**
   * Bytes of output kept and delivered, both streams together, default `defaultMaxOutputBytes`. Beyond it the command goes on, its output
   * is dropped, except that each stream's last few kilobytes are added at the end: errors stand at the end.
   */
  maxOutputBytes?: number;
  /**
   * Has the sandbox keep the output in a file of the workspace, both streams as they arrive, if there is more of it than `aboveBytes`. What
   * is beyond `maxOutputBytes` stays there and never reaches us. A file of that name is replaced.
   */
  keep?: KeepOutput;
  /** Called in order, one call at a time. While a returned promise is pending, the command's output is held back. */
  onOutput?: (chunk: ExecOutput) => void | Promise<void>;
  /** Called, at most once and before the call throws, if an abort has ended the running command. */
  onKilled?: (killed: KilledProcesses) => void;
}

export interface KeepOutput {
  path: string;
  /** Bytes of both streams together, up to which no file is made. */
  aboveBytes: number;
  /** Bytes of the file; what comes later is not in it. */
  maxBytes: number;
}

/** Output that was kept. */
export interface KeptOutput {
  /** Relative to the workspace. */
  path: string;
  bytes: number;
  /** Nothing is missing from it: neither was it longer than `maxBytes`, nor the disk full. */
  complete: boolean;
}

export interface KilledProcesses {
  /** Of the command's process group, its shell included; null where they are not counted. */
  processes: number | null;
  /** The sandbox was stopped as a whole, and whatever else ran in it. */
  sandboxStopped: boolean;
}

export interface ExecOutput {
  stream: "stdout" | "stderr";
  text: string;
}

export interface ExecResult {
  /** 124 after a timeout, 128 + n after signal n, as shells have it. */
  exitCode: number;
  /** Decoded as UTF-8; where output was dropped, one line says how much. */
  stdout: string;
  stderr: string;
  timedOut: boolean;
  truncated: boolean;
  /** Null if nothing was to be kept, there was too little of it, or no file could be made. */
  kept: KeptOutput | null;
  /** From the shell's start to its end. */
  durationMs: number;
}

export interface SandboxNotice {
  /** `restarted`: processes and temporary files are gone, the workspace is kept. `recreated`: the workspace is empty as well. */
  kind: "restarted" | "recreated";
  text: string;
}

/** Opens the sandbox of a project, creating it on first need. Calls after the first answer the same handle. */
export type OpenSandbox = () => Promise<Sandbox>;

/** Below the two minutes after which clients and proxies tend to give up on a silent tool call. */
export const defaultExecTimeoutMs = 110_000;
export const defaultMaxOutputBytes = 1 << 20;

/** Of one sandbox, in one process of ours. Each may hold a window of data for either direction. */
export const maxConnections = 128;
