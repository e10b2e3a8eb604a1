import type { RunErrorCode } from "@cortex/contracts";

/** What went wrong, said to the person who started the run. Never holds what an endpoint or an exception wrote. */
const sentences: Partial<Record<RunErrorCode, string>> = {
  model_auth: "The model endpoint refused our credentials.",
  model_rate_limited: "The model endpoint limits the rate of requests; it did not let us through in time.",
  model_upstream: "The model endpoint failed or could not be reached.",
  model_timeout: "The model did not answer in time.",
  model_stream_broken: "The model's answer broke off.",
  model_malformed: "The model's answers could not be used.",
  model_empty: "The model answered nothing.",
  model_refused: "The model's provider refused this conversation by its content policy.",
  model_bad_request: "The model endpoint refused the request.",
  model_budget: "The budget of the model endpoint is used up.",
  context_overflow: "The conversation is longer than the model can read.",
  output_truncated: "The model's answer was cut by its output limit.",
  step_limit: "The run reached its limit of steps.",
  deadline_exceeded: "The run reached its time limit.",
  budget_exceeded: "The run reached its budget.",
  insufficient_credits: "The account's credit ran out.",
  repeated_tool_call: "The model kept making the same tool call.",
  approval_expired: "Nobody decided in time about what the agent wanted to do.",
};

export const sentenceFor = (code: RunErrorCode): string => sentences[code] ?? "Something went wrong on our side.";

/** Failures that may be gone when the same run is started again. The others need a change first. */
const passing: ReadonlySet<RunErrorCode> = new Set<RunErrorCode>([
  "model_rate_limited",
  "model_upstream",
  "model_timeout",
  "model_stream_broken",
  "model_malformed",
  "model_empty",
  "internal",
]);

export const isRetryable = (code: RunErrorCode): boolean => passing.has(code);

export interface ModelErrorFacts {
  /**
   * `request`: it failed before an answer began, and the adapter has used up its own retries. `answer`: it failed inside an answer;
   * the engine may ask again.
   */
  phase: "request" | "answer";
  /** The time for one answer is used up: the same model would use it up again. */
  timeUsedUp?: boolean | undefined;
  /** For logs only: what the endpoint said, secrets removed. */
  detail?: string | undefined;
  /** HTTP status, if there was one. */
  status?: number | undefined;
  /** The endpoint's own id of the call. */
  callId?: string | undefined;
  /** How long the endpoint asks us to wait, milliseconds. */
  retryAfterMs?: number | undefined;
  cause?: unknown;
}

/** A model call that gave no usable answer, classified by meaning. The message is fit for the user. */
export class ModelError extends Error {
  override readonly name = "ModelError";
  readonly code: RunErrorCode;
  readonly facts: ModelErrorFacts;

  constructor(code: RunErrorCode, facts: ModelErrorFacts, message: string = sentenceFor(code)) {
    super(message, { cause: facts.cause });
    this.code = code;
    this.facts = facts;
  }

  get retryable(): boolean {
    return isRetryable(this.code);
  }

  /**
   * The provider is there and lets nobody through for now: waiting helps, however long it takes. 529 says nothing else; a 503 may be any
   * failure, unless it names the time of its end.
   */
  get limited(): boolean {
    const { status, retryAfterMs } = this.facts;
    return this.code === "model_rate_limited" || status === 529 || (status === 503 && retryAfterMs !== undefined);
  }
}

/** Whatever a model threw, as a `ModelError`. An unexpected exception is `internal`: a fault of ours, not of the model. */
export const asModelError = (thrown: unknown): ModelError =>
  thrown instanceof ModelError
    ? thrown
    : new ModelError("internal", { phase: "request", detail: String(thrown), cause: thrown });

/**
 * Thrown by a tool that did not do what it was asked and knows that nothing was changed. The message goes to the model:
 * say what is wrong and what would work.
 */
export class ToolFailure extends Error {
  override readonly name = "ToolFailure";
}
