import type { ErrorCode, Problem } from "@cortex/contracts";

/**
 * What can go wrong with a call, as three classes:
 * - `ApiError`: the API answered, and the answer is no.
 * - `ConnectionError`: there was no (whole) answer; it may or may not have taken effect.
 * - `UnexpectedAnswerError`: the answer is not what the contract says: another version, or something else that answers at this address.
 *
 * An aborted call throws the reason of its signal and none of these.
 */

/** A code of the contract; or one that a newer API has and this client does not know yet. */
export type ApiErrorCode = ErrorCode | (string & {});

/** The fields of a problem document, each null if the answer did not carry it (a proxy's error page has none of them). */
export interface ProblemFields {
  status: number;
  code: ApiErrorCode | null;
  detail: string;
  /** Is the same call worth another try later? */
  retryable: boolean;
  /** Not sooner than that. */
  retryAfterMs: number | null;
  requestId: string | null;
  /** JSON pointers into the request with what is wrong there. */
  errors: NonNullable<Problem["errors"]>;
  /** With `thread_busy`: the run that is in the way. */
  agentRunId: string | null;
}

/** The API refused: an answer with a status outside 2xx. */
export class ApiError extends Error implements ProblemFields {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: ApiErrorCode | null;
  readonly detail: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;
  readonly requestId: string | null;
  readonly errors: ProblemFields["errors"];
  readonly agentRunId: string | null;

  constructor(fields: ProblemFields) {
    const at = fields.errors.map(({ pointer, detail }) => ` ${pointer}: ${detail}.`).join("");
    super(`${fields.code ?? `HTTP ${fields.status}`}: ${fields.detail}${at}`);
    this.status = fields.status;
    this.code = fields.code;
    this.detail = fields.detail;
    this.retryable = fields.retryable;
    this.retryAfterMs = fields.retryAfterMs;
    this.requestId = fields.requestId;
    this.errors = fields.errors;
    this.agentRunId = fields.agentRunId;
  }
}

/** No answer, or only a part of one: refused, reset, timed out, silent. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
}

/** An answer that the contract does not know. */
export class UnexpectedAnswerError extends Error {
  override readonly name = "UnexpectedAnswerError";
}

/** Is this an answer with that code of the contract? Keeps `instanceof` and spelling mistakes out of callers. */
export const isApiError = (error: unknown, code: ErrorCode): error is ApiError =>
  error instanceof ApiError && error.code === code;
