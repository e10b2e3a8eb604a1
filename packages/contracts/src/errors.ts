import { z } from "zod";

/**
 * The closed set of error codes. A client may switch over it; adding one is a feature, renaming one is a breaking change.
 * The HTTP status that belongs to each code is decided in one place, `apps/api/src/error-response.ts`.
 */
export const ErrorCode = z.enum([
  // the request
  "invalid_json",
  "validation_failed",
  "invalid_cursor",
  "unsupported_media_type",
  "body_too_large",
  "method_not_allowed",
  "unauthenticated",
  "forbidden",
  "not_found",
  // the state of things
  "thread_busy",
  "thread_empty",
  "thread_answered",
  "project_deleted",
  "run_active",
  "conflict",
  "approval_mismatch",
  "idempotency_key_in_use",
  "idempotency_key_reused",
  "path_outside_workspace",
  "port_not_exposed",
  // money and plans
  "insufficient_credits",
  "model_not_in_plan",
  "too_many_runs",
  // the runtime
  "unknown_model",
  "unknown_tool",
  "rate_limited",
  "too_many_streams",
  "unavailable",
  "internal",
]);
export type ErrorCode = z.infer<typeof ErrorCode>;

/** Why a run ended as `failed` (or was stopped by the system). Tells causes apart; never shown as success. */
export const RunErrorCode = z.enum([
  "model_auth", // 401/403 from the model endpoint: our key is wrong
  "model_rate_limited", // 429 until the retries were used up
  "model_upstream", // 5xx or a refused connection until the retries were used up
  "model_timeout", // no first byte, or silence in mid-stream, beyond the watchdog
  "model_stream_broken", // the stream ended without its final marker
  "model_malformed", // unusable answers (garbage, unparsable tool calls) beyond the repair bound
  "model_empty", // no text and no tool call
  "model_refused", // content policy
  "model_bad_request", // the endpoint refused our request (400)
  "model_budget", // the proxy's own budget is used up
  "context_overflow",
  "output_truncated", // cut by the output limit
  "step_limit",
  "deadline_exceeded",
  "budget_exceeded", // the run's own budget
  "insufficient_credits", // the account's credit ran out inside the run
  "repeated_tool_call", // doom loop guard
  "approval_expired", // nobody decided in time
  "sandbox_unavailable",
  "worker_lost", // attempts used up without progress
  "internal",
]);
export type RunErrorCode = z.infer<typeof RunErrorCode>;

/** RFC 9457 body of every non-2xx answer, content type `application/problem+json`. */
export const Problem = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: ErrorCode,
    request_id: z.string(),
    retryable: z.boolean(),
    retry_after_ms: z.int().nonnegative().optional(),
    errors: z.array(z.object({ pointer: z.string(), detail: z.string() })).optional(),
    /** With `thread_busy`: the run that is in the way. */
    agent_run_id: z.uuid().optional(),
  })
  .meta({ id: "Problem" });
export type Problem = z.infer<typeof Problem>;

export interface AppErrorDetails {
  /** JSON pointers into the request with what is wrong there. */
  errors?: { pointer: string; detail: string }[];
  agent_run_id?: string;
  retry_after_ms?: number;
}

/**
 * A failure with a meaning. Domain code throws it with a code and a sentence that a caller may read; the edge turns it into a
 * problem document. Anything else that is thrown is `internal` and its message never leaves the process.
 */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly code: ErrorCode;
  readonly details: AppErrorDetails;

  constructor(code: ErrorCode, message: string, details: AppErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.details = details;
  }
}
