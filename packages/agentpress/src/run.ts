import type { RunErrorCode } from "@cortex/contracts";
import type { AgentDeps, AgentInput, AgentOutcome, InterruptedAnswer } from "./agent.ts";
import type { Cancellation } from "./cancellation.ts";
import { isRetryable, sentenceFor } from "./errors.ts";
import type { AgentMessage } from "./messages.ts";
import type { ModelPrice } from "./models/catalogue.ts";
import type { Spending } from "./spending.ts";
import type { ToolCallsResult, UnfinishedCall } from "./tool-calls.ts";

/** One run while it goes on. */
export interface Run {
  deps: AgentDeps;
  input: AgentInput;
  cancellation: Cancellation;
  /** Null: unknown, and everything costs 0. */
  price: ModelPrice | null;
  spending: Spending;
  /** The conversation; it grows, and is well-formed whenever the model is asked. */
  history: AgentMessage[];
}

/** What a step means for its run: null is "go on". `finished` still gives way to a message that the user wrote meanwhile. */
export type StepResult = { finished: true } | { outcome: AgentOutcome } | null;

export const failed = (
  run: Run,
  code: RunErrorCode,
  details: { message?: string; interrupted?: InterruptedAnswer | null } = {},
): AgentOutcome => ({
  kind: "failed",
  code,
  message: details.message ?? sentenceFor(code),
  retryable: isRetryable(code),
  interrupted: details.interrupted ?? null,
  ...run.spending.totals(),
});

export interface LeftBehind {
  interrupted?: InterruptedAnswer | null;
  unfinished?: UnfinishedCall[];
  aborted?: string[];
}

/** The end of a run whose signal was aborted: by its own deadline it failed, by the caller it was aborted. */
export const cutShort = (run: Run, left: LeftBehind = {}): AgentOutcome => {
  const interrupted = left.interrupted ?? null;
  if (run.cancellation.endedBy() === "deadline") return failed(run, "deadline_exceeded", { interrupted });
  return {
    kind: "aborted",
    reason: run.cancellation.signal.reason,
    interrupted,
    unfinished: left.unfinished ?? [],
    aborted: left.aborted ?? [],
    ...run.spending.totals(),
  };
};

/** What the calls of a step mean for the run. */
export const afterCalls = (run: Run, result: ToolCallsResult): StepResult => {
  if (result.unfinished.length > 0) {
    const aborted = result.unfinished.filter((call) => call.started).map((call) => `tool call ${call.name}`);
    return { outcome: cutShort(run, { unfinished: result.unfinished, aborted }) };
  }
  return result.endsRun ? { finished: true } : null;
};

/** An aborted step stays open, without `step.completed`: whoever takes over closes it. */
export const staysOpen = (result: StepResult): boolean =>
  result !== null && "outcome" in result && result.outcome.kind === "aborted";
