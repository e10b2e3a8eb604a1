import { createHash } from "node:crypto";
import { type Sandbox, workspaceRoot } from "@cortex/sandbox/port";
import { ToolFailure } from "../errors.ts";
import { maxRunning, processesFolder, processScript } from "./process-script.ts";

/** What `start_process` makes. Nothing else reaches a path or a command line. */
export const processIdPattern = /^p-[0-9a-f]{8}$/;

/** Bytes of output in one answer; the newest. */
const maxShownBytes = 20_000;

/** Above the longest that a script takes without waiting: 5 s for a start, 3 s for a kill, and a slow computer. */
const scriptTimeoutMs = 30_000;

export interface ProcessReport {
  id: string;
  /** The exit code of its command; `running`; `lost`: it is gone without one (the sandbox was restarted, or a command killed it). */
  state: number | "running" | "lost";
  /** Something that it started still lives. */
  lives: boolean;
  /** What it printed since the last look, or the end of that. */
  output: string;
  /** Bytes since the last look that `output` begins after. */
  leftOut: number;
}

export interface ListedProcess extends Pick<ProcessReport, "id" | "state" | "lives"> {
  ageSeconds: number;
  /** Its beginning, on one line. */
  command: string;
}

/** The same in every attempt of a call, so that a repetition finds what the first one started. */
export const processIdOf = (idempotencyKey: string): string =>
  `p-${createHash("sha256").update(idempotencyKey).digest("hex").slice(0, 8)}`;

/** Where its output can be read. */
export const outputPlace = (id: string): string => `${workspaceRoot}/${processesFolder}/${id}/output.<n>`;

const stateOf = (text: string): ProcessReport["state"] => {
  if (text === "running") return "running";
  return /^\d{1,3}$/.test(text) ? Number(text) : "lost";
};

interface Action {
  action: "start" | "check" | "kill" | "list";
  id: string;
  /** Names the call: one that is repeated sees the same output again. */
  callKey: string;
  /** How long to wait for output or the end, if there is neither. */
  waitMs: number;
  command?: string;
  cwd?: string | undefined;
}

const act = async (sandbox: Sandbox, input: Action, signal: AbortSignal): Promise<string> => {
  if (!sandbox.capabilities.processes) {
    throw new ToolFailure(
      "This sandbox runs shell scripts only and no processes in the background. Use execute_command for what ends by itself.",
    );
  }
  const result = await sandbox.exec(
    {
      command: processScript,
      ...(input.cwd === undefined ? {} : { cwd: input.cwd }),
      env: {
        CORTEX_ACTION: input.action,
        CORTEX_ID: input.id,
        CORTEX_CALL: createHash("sha256").update(input.callKey).digest("hex").slice(0, 16),
        CORTEX_WAIT: String(Math.round(input.waitMs / 100)),
        CORTEX_LIMIT: String(maxShownBytes),
      },
      stdin: input.command ?? "",
      timeoutMs: scriptTimeoutMs + input.waitMs,
    },
    signal,
  );
  if (result.exitCode === 0) return result.stdout;
  throw new Error(`the script for processes failed: ${result.exitCode} ${result.stderr.slice(0, 500)}`);
};

const reportOf = (id: string, answer: string): ProcessReport => {
  const [, state, lives, from, , shown] = /^(\S+) (yes|no) (\d+) (\d+) (\d+)\n/.exec(answer) ?? [];
  if (state === undefined) {
    if (answer === "none\n") throw new ToolFailure(`There is no process ${id}. list_processes shows those there are.`);
    if (answer === "full\n")
      throw new ToolFailure(`${maxRunning} processes are running already. End one with kill_process.`);
    throw new Error("the script for processes answered nonsense");
  }
  const leftOut = Number(shown) - Number(from);
  const output = answer.slice(answer.indexOf("\n") + 1);
  // It may begin inside a character.
  return { id, state: stateOf(state), lives: lives === "yes", output: output.replace(/^\uFFFD+/, ""), leftOut };
};

/**
 * Starts a command that goes on when this call ends, and waits up to `waitMs` for its first output or its end.
 * @throws ToolFailure too many are running, or the sandbox runs no processes
 */
export const startProcess = async (
  sandbox: Sandbox,
  input: { id: string; command: string; cwd: string | undefined; callKey: string; waitMs: number },
  signal: AbortSignal,
): Promise<ProcessReport> => reportOf(input.id, await act(sandbox, { action: "start", ...input }, signal));

/** @throws ToolFailure there is no such process */
export const checkProcess = async (
  sandbox: Sandbox,
  input: { id: string; callKey: string; waitMs: number },
  signal: AbortSignal,
): Promise<ProcessReport> => reportOf(input.id, await act(sandbox, { action: "check", ...input }, signal));

/** Asks the whole process group to end, and ends it after 3 s. One that has ended is fine. @throws ToolFailure there is no such process */
export const killProcess = async (
  sandbox: Sandbox,
  input: { id: string; callKey: string },
  signal: AbortSignal,
): Promise<ProcessReport> => reportOf(input.id, await act(sandbox, { action: "kill", waitMs: 0, ...input }, signal));

/** All processes that anything is known of, the newest first. */
export const listProcesses = async (sandbox: Sandbox, signal: AbortSignal): Promise<ListedProcess[]> => {
  const answer = await act(sandbox, { action: "list", id: "", callKey: "", waitMs: 0 }, signal);
  return answer.split("\n").flatMap((line) => {
    const [id = "", state = "", lives, age, ...command] = line.split("\t");
    if (!processIdPattern.test(id)) return [];
    return [
      { id, state: stateOf(state), lives: lives === "yes", ageSeconds: Number(age), command: command.join(" ").trim() },
    ];
  });
};
