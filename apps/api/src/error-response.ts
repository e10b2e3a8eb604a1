import { AppError, type ErrorCode, Problem } from "@cortex/contracts";
import type { Logger } from "@cortex/observability";
import { HTTPException } from "hono/http-exception";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { classifyDatabaseError } from "./database-error.ts";
import type { ApiRequest } from "./request-context.ts";

interface Appearance {
  status: ContentfulStatusCode;
  title: string;
  /** The same request may succeed later without being changed. */
  retryable: boolean;
  /** When to try again if the failure does not say so itself. */
  retryAfterMs?: number;
}

const final = (status: ContentfulStatusCode, title: string): Appearance => ({ status, title, retryable: false });
const passing = (status: ContentfulStatusCode, title: string, retryAfterMs?: number): Appearance => ({
  status,
  title,
  retryable: true,
  ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
});

/** The one place that gives each code of the contract its HTTP status. */
export const appearanceOf = (code: ErrorCode): Appearance => {
  switch (code) {
    case "invalid_json":
      return final(400, "Invalid JSON");
    case "invalid_cursor":
      return final(400, "Invalid cursor");
    case "path_outside_workspace":
      return final(400, "Path outside the workspace");
    case "unauthenticated":
      return final(401, "Not authenticated");
    case "insufficient_credits":
      return final(402, "Insufficient credits");
    case "forbidden":
      return final(403, "Forbidden");
    case "model_not_in_plan":
      return final(403, "Model not in plan");
    case "port_not_exposed":
      return final(404, "Port not exposed");
    case "not_found":
      return final(404, "Not found");
    case "method_not_allowed":
      return final(405, "Method not allowed");
    case "thread_busy":
      return passing(409, "Thread busy");
    case "run_active":
      return passing(409, "Run active");
    case "thread_empty":
      return final(409, "Thread empty");
    case "thread_answered":
      return final(409, "Thread answered");
    case "project_deleted":
      return final(409, "Project deleted");
    case "conflict":
      return final(409, "Conflict");
    case "approval_mismatch":
      return final(409, "Approval mismatch");
    case "idempotency_key_in_use":
      return passing(409, "Idempotency key in use", 1_000);
    case "body_too_large":
      return final(413, "Body too large");
    case "unsupported_media_type":
      return final(415, "Unsupported media type");
    case "validation_failed":
      return final(422, "Validation failed");
    case "idempotency_key_reused":
      return final(422, "Idempotency key reused");
    case "unknown_model":
      return final(422, "Unknown model");
    case "unknown_tool":
      return final(422, "Unknown tool");
    case "too_many_runs":
      return passing(429, "Too many runs", 5_000);
    case "too_many_streams":
      return passing(429, "Too many streams", 5_000);
    case "rate_limited":
      return passing(429, "Rate limited", 5_000);
    case "internal":
      return final(500, "Internal error");
    case "unavailable":
      return passing(503, "Unavailable", 1_000);
  }
};

/** Every failure as one that a caller may see. What has no meaning of its own becomes `internal`, its message stays here. */
const toAppError = (error: unknown): AppError => {
  if (error instanceof AppError) return error;
  if (error instanceof HTTPException) return fromFramework(error);
  return (
    classifyDatabaseError(error) ?? new AppError("internal", "Something went wrong on our side.", {}, { cause: error })
  );
};

/** What the framework's validators throw before our schemas are asked. */
const fromFramework = (error: HTTPException): AppError => {
  if (error.status === 400) return new AppError("invalid_json", "The body could not be parsed.", {}, { cause: error });
  if (error.status === 415)
    return new AppError("unsupported_media_type", "The body's media type is not one this route takes.");
  return new AppError("internal", "Something went wrong on our side.", {}, { cause: error });
};

/** The problem document (RFC 9457) of a failure. */
export const toProblem = (error: AppError, requestId: string): Problem => {
  const { status, title, retryable, retryAfterMs } = appearanceOf(error.code);
  const retryAfter = error.details.retry_after_ms ?? retryAfterMs;
  return Problem.parse({
    type: `urn:cortex:problem:${error.code}`,
    title,
    status,
    detail: error.message,
    code: error.code,
    request_id: requestId,
    retryable,
    ...error.details,
    ...(retryAfter === undefined ? {} : { retry_after_ms: retryAfter }),
  });
};

/** Answers a failure; logs it if it is ours, once and here. */
export const errorResponse = (c: ApiRequest, error: unknown, log: Logger): Response => {
  const known = toAppError(error);
  const problem = toProblem(known, c.get("requestId"));
  if (problem.status >= 500) {
    log.error({ err: known.cause ?? known, request_id: problem.request_id, code: known.code }, "a request failed");
  }
  if (problem.retry_after_ms !== undefined) c.header("retry-after", String(Math.ceil(problem.retry_after_ms / 1_000)));
  if (problem.status === 401) c.header("www-authenticate", "Bearer");
  if (problem.status === 429)
    c.header("ratelimit", `"${known.code}";r=0;t=${Math.ceil((problem.retry_after_ms ?? 0) / 1_000)}`);
  c.header("content-type", "application/problem+json");
  return c.body(JSON.stringify(problem), appearanceOf(known.code).status);
};
