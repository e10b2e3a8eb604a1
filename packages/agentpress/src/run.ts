import type { KilledCommand, RunErrorCode } from "@cortex/contracts";
import type { AgentDeps, AgentInput, AgentOutcome, InterruptedAnswer, ToolSet } from "./agent.ts";
import type { Cancellation } from "./cancellation.ts";
import type { RunContext } from "./context/run-context.ts";
import type { InputEstimate } from "./context/tokens.ts";
import { isRetryable, type ModelError, sentenceFor } from "./errors.ts";
import type { AgentMessage } from "./messages.ts";
import type { AskedModel } from "./models/asked-model.ts";
import type { RunSandbox } from "./run-sandbox.ts";
import type { Spending } from "./spending.ts";
import type { ToolCallsResult, UnfinishedCall } from "./tool-calls.ts";

/** One run while it goes on. */
export interface Run {
  deps: AgentDeps;
  input: AgentInput;
  cancellation: Cancellation;
  /** Null: it has none. */
  sandbox: RunSandbox | null;
  /** Whom it may ask: its own model first, then its fallbacks. */
  models: readonly [AskedModel, ...AskedModel[]];
  /** Whom it asks first: who answered last. */
  model: AskedModel;
  spending: Spending;
  inputEstimate: InputEstimate;
  /** The conversation; it grows, and is well-formed whenever the model is asked. */
  history: AgentMessage[];
  /** What of it is sent. */
  context: RunContext;
  /** As of the step that is under way. */
  tools: ToolSet;
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

/** The end of this run of the engine, not of the run: it may be gone on with. */
export const waiting = (run: Run, error: ModelError): AgentOutcome => ({
  kind: "waiting",
  reason: "provider_limit",
  code: error.code,
  message: error.message,
  retryAfterMs: error.facts.retryAfterMs ?? null,
  ...run.spending.totals(),
});

export interface LeftBehind {
  interrupted?: InterruptedAnswer | null;
  unfinished?: UnfinishedCall[];
  aborted?: string[];
  killed?: KilledCommand[];
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
    killed: left.killed ?? [],
    ...run.spending.totals(),
  };
};

/** What was under way, and what of it was ended in the sandbox. */
const receiptOf = (unfinished: readonly UnfinishedCall[]): { aborted: string[]; killed: KilledCommand[] } => ({
  aborted: unfinished
    .filter((call) => call.started)
    .map((call) => `tool call ${call.name}${call.leftBehind ? ", left behind" : ""}`),
  killed: unfinished.flatMap(({ tool_call_id, name, killed }) =>
    killed.map(({ command, processes, sandboxStopped }) => ({
      tool_call_id,
      name,
      command,
      processes,
      sandbox_stopped: sandboxStopped,
    })),
  ),
});

/** What the calls of a step mean for the run. */
export const afterCalls = (run: Run, result: ToolCallsResult): StepResult => {
  if (result.unfinished.length > 0) {
    return { outcome: cutShort(run, { unfinished: result.unfinished, ...receiptOf(result.unfinished) }) };
  }
  return result.endsRun ? { finished: true } : null;
};

/** An aborted step stays open, without `step.completed`: whoever takes over closes it. */
export const staysOpen = (result: StepResult): boolean =>
  result !== null && "outcome" in result && result.outcome.kind === "aborted";
