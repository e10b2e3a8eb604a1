import type { RunStatus } from "@cortex/contracts";
import type { RunScript } from "../load/run-script.ts";

/*
 * What one chaos run leaves behind: plain data, so that it can be kept in a file and judged again. Two oracles that know nothing of each
 * other, Postgres and the followers, and a third that knows neither: the files that effects left in the workspaces.
 * Times with `At` are milliseconds: of the database's clock in rows, since the beginning of the run elsewhere. Money is a decimal string.
 */

/** A start that was answered with 202. */
export interface StartAck {
  runId: string;
  threadId: string;
  at: number;
  /** How long the answer took, retries included. */
  ms: number;
}

/** A stop that was answered with 202. */
export interface StopAck {
  runId: string;
  status: RunStatus;
  at: number;
}

/** A decision about a tool call that was answered with 200. */
export interface DecisionAck {
  runId: string;
  callId: string;
  decision: "approve" | "reject" | "edit";
  at: number;
}

export interface Injection {
  at: number;
  kind: string;
  detail: string;
}

export interface RunRecord {
  id: string;
  thread_id: string;
  account_id: string;
  status: RunStatus;
  attempt: number;
  terminal_writes: number;
  log_epoch: number;
  stop_requested_at: number | null;
  completed_at: number | null;
  has_receipt: boolean;
  error_code: string | null;
  cost_usd: string;
}

export interface MessageRecord {
  id: string;
  thread_id: string;
  run_id: string | null;
  step: number | null;
  seq: number;
  role: "user" | "assistant" | "tool";
  status: "complete" | "interrupted";
  text: string;
  /** Ids of the calls that it asks for. */
  calls: string[];
  tool_call_id: string | null;
}

export interface StepRecord {
  run_id: string;
  step: number;
  attempt: number;
  cost_usd: string;
  started_at: number;
}

export interface ToolCallRecord {
  run_id: string;
  call_id: string;
  step: number;
  name: string;
  /** As JSON. */
  arguments: string;
  effect: "pure" | "idempotent" | "once";
  state: "started" | "awaiting" | "released" | "done" | "failed" | "unknown";
  attempt: number;
  /** Null: it never began. */
  started_at: number | null;
  /** Were people asked about it? */
  asked: boolean;
  /** What they said; null while nobody has. */
  decision: "approve" | "reject" | "edit" | null;
}

export interface LedgerRecord {
  account_id: string;
  run_id: string | null;
  kind: string;
  amount_usd: string;
  key: string;
}

/** A run's live log as it lies in Redis. */
export interface LogRecord {
  run_id: string;
  epoch: number;
  closed: boolean;
  entries: string[];
}

/** What one follower was told, entry by entry. */
export interface FollowerRecord {
  who: string;
  runId: string;
  entries: { cursor: string; event: string }[];
  /** Connections that broke under it. */
  breaks: number;
  /** Null: it was told the end. Otherwise why it gave up. */
  failure: string | null;
  /** The messages of its view at the end, as the public client's reducer made them. */
  messages: { id: string; role: string; status: string; text: string }[];
  status: string;
}

export interface History {
  scenario: string;
  seed: number;
  /** By run id; a start that was never answered has none. */
  scripts: Record<string, RunScript>;
  acks: StartAck[];
  /** Starts and decisions that were given up without an answer. */
  unanswered: string[];
  stops: StopAck[];
  decisions: DecisionAck[];
  injections: Injection[];
  /** What a stop may take, from its record to the end of the run; null: not judged, because workers died. Milliseconds. */
  stopWithinMs: number | null;
  runs: RunRecord[];
  messages: MessageRecord[];
  steps: StepRecord[];
  toolCalls: ToolCallRecord[];
  ledger: LedgerRecord[];
  balances: { account_id: string; balance_usd: string }[];
  /** How often each command took effect: lines of the file that it appends to, by the file's name. */
  effects: Record<string, number>;
  logs: LogRecord[];
  followers: FollowerRecord[];
}

export type Invariant = "I1" | "I2" | "I3" | "I4" | "I5" | "I6" | "I7" | "I8" | "I9";

/** One sentence about one broken promise. */
export interface Violation {
  invariant: Invariant;
  runId: string | null;
  what: string;
}
