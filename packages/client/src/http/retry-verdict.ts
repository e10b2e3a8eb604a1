import { ApiError, ConnectionError } from "../failures.ts";
import { backoff, type ClientTiming } from "./timing.ts";

export type RetryVerdict = { kind: "again"; waitMs: number } | { kind: "give_up" };

/**
 * Is a failed call tried again, and when? Only what may be repeated is: reads, and writes that carry an idempotency key or are idempotent by
 * nature. Of an answer of the API its own `retryable` decides; a conflict is never waited out, but for our own first try that still holds the key.
 */
export const retryVerdict = (input: {
  failure: unknown;
  repeatable: boolean;
  /** Tries made, this one included. */
  tries: number;
  timing: ClientTiming;
  /** 0 to 1 */
  random: number;
}): RetryVerdict => {
  const { failure, timing, random, tries } = input;
  if (!input.repeatable || tries >= timing.tries || !passes(failure)) return { kind: "give_up" };
  const asked = failure instanceof ApiError ? (failure.retryAfterMs ?? 0) : 0;
  if (asked > timing.longestRetryMs) return { kind: "give_up" };
  const wait = backoff({
    firstMs: timing.retryMs,
    longestMs: timing.longestRetryMs,
    failures: tries - 1,
    random,
  });
  return { kind: "again", waitMs: Math.max(wait, asked + random * timing.retryMs) };
};

const passes = (failure: unknown): boolean => {
  if (failure instanceof ConnectionError) return true;
  if (!(failure instanceof ApiError) || !failure.retryable) return false;
  return (
    failure.status === 408 ||
    failure.status === 429 ||
    failure.status >= 500 ||
    failure.code === "idempotency_key_in_use"
  );
};
