import type { Message, Usage, Usd } from "@cortex/contracts";

/** A run that has ended, with everything that its trace is made of. Times are Postgres'. */
export interface TracedRun {
  id: string;
  accountId: string;
  projectId: string;
  threadId: string;
  /** Who started it; null: nobody who still is a user. */
  userId: string | null;
  requestId: string;
  agent: { id: string; name: string; version: number };
  model: string;
  status: "completed" | "failed" | "stopped";
  attempts: number;
  error: { code: string; message: string } | null;
  /** Of the whole run. What the steps below do not account for went into answers that were given up. */
  usage: Usage;
  costUsd: Usd;
  createdAt: Date;
  completedAt: Date;
  /** What users asked, by seq. */
  requests: readonly Message[];
  /** What the run has stored, by seq. `step` is null for an answer that was cut short. */
  messages: readonly { step: number | null; message: Message }[];
  steps: readonly TracedStep[];
  toolCalls: readonly TracedCall[];
  waits: readonly TracedWait[];
  summaries: readonly TracedSummary[];
}

export interface TracedStep {
  step: number;
  attempt: number;
  model: string;
  finishReason: string | null;
  usage: Usage;
  costUsd: Usd;
  startedAt: Date;
}

export interface TracedCall {
  id: string;
  step: number;
  attempt: number;
  name: string;
  arguments: unknown;
  effect: string;
  state: string;
  result: string | null;
  isError: boolean;
  startedAt: Date;
  endedAt: Date | null;
}

export interface TracedWait {
  attempt: number;
  reason: string;
  beganAt: Date;
  endedAt: Date | null;
}

/** A summary of the older part of the conversation, which a model wrote so that the rest has room. */
export interface TracedSummary {
  id: string;
  step: number;
  attempt: number;
  model: string;
  text: string;
  usage: Usage;
  costUsd: Usd;
  tokensBefore: number;
  tokensAfter: number;
  createdAt: Date;
}
