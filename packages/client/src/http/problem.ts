import { ApiError, type ProblemFields } from "../failures.ts";

/** A `Retry-After` header (seconds or a date) in milliseconds from now; null when there is none that can be read. */
export const retryAfterMs = (header: string | null, now: number): number | null => {
  if (header === null || header.trim() === "") return null;
  if (/^\s*\d+\s*$/.test(header)) return Number(header) * 1_000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
};

/** Answers that are likely to be another one soon, whoever gave them: of the API itself its `retryable` says it better. */
const passes = (status: number): boolean => status === 408 || status === 429 || status >= 500;

/**
 * The failure that an answer outside 2xx means. Reads problem documents field by field, so that a newer API's codes and a proxy's error page are
 * both understood as far as they go.
 */
export const readApiError = async (response: Response): Promise<ApiError> => {
  const { status, headers } = response;
  const fields: ProblemFields = {
    status,
    code: null,
    detail: response.statusText || "the server refused without a reason",
    retryable: passes(status),
    retryAfterMs: retryAfterMs(headers.get("retry-after"), Date.now()),
    requestId: headers.get("x-request-id"),
    errors: [],
    agentRunId: null,
  };
  const problem = asRecord(await readJson(response));
  if (problem === null || typeof problem["code"] !== "string") return new ApiError(fields);
  return new ApiError({
    ...fields,
    code: problem["code"],
    detail: asString(problem["detail"]) ?? asString(problem["title"]) ?? fields.detail,
    retryable: typeof problem["retryable"] === "boolean" ? problem["retryable"] : fields.retryable,
    retryAfterMs: typeof problem["retry_after_ms"] === "number" ? problem["retry_after_ms"] : fields.retryAfterMs,
    requestId: asString(problem["request_id"]) ?? fields.requestId,
    errors: Array.isArray(problem["errors"]) ? problem["errors"].flatMap(asFieldError) : [],
    agentRunId: asString(problem["agent_run_id"]),
  });
};

/** The body as JSON; null if it is none, or breaks off: the status alone says enough then. */
const readJson = async (response: Response): Promise<unknown> => {
  try {
    return await response.json();
  } catch {
    return null;
  }
};

const asRecord = (value: unknown): Record<string, unknown> | null =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;

const asString = (value: unknown): string | null => (typeof value === "string" ? value : null);

const asFieldError = (value: unknown): ProblemFields["errors"] => {
  const pointer = asString(asRecord(value)?.["pointer"]);
  const detail = asString(asRecord(value)?.["detail"]);
  return pointer === null || detail === null ? [] : [{ pointer, detail }];
};
