import type { ModelError } from "../errors.ts";

export interface RetryPolicy {
  /** Requests for one answer, the first included. */
  maxTries: number;
  /** Of these, so many may end without a first byte: each costs the whole first-byte time. At most `maxTries`. */
  maxSilentTries: number;
  /** The n-th wait is a random time below `baseMs * 2^(n-1)`, at most `capMs`. Full jitter: many workers must not knock together. */
  baseMs: number;
  capMs: number;
  /** An endpoint that asks for a longer wait is taken at its word: no further try. */
  maxRetryAfterMs: number;
  /**
   * A provider that limits us is waited for so long here, all waits of one answer together; what takes longer is a wait of the run, which
   * holds no worker. Above `baseMs`, or a limit without a time would hardly be tried again.
   */
  limitPatienceMs: number;
}

export const defaultRetryPolicy: RetryPolicy = {
  maxTries: 4,
  maxSilentTries: 2,
  baseMs: 1_000,
  capMs: 30_000,
  maxRetryAfterMs: 60_000,
  limitPatienceMs: 2_000,
};

/**
 * How long to wait before trying again; null: not at all. Pure.
 * @param failure.waitedMs how long this answer has waited before
 */
export const waitBeforeRetry = (
  policy: RetryPolicy,
  failure: { error: ModelError; tries: number; silentTries: number; waitedMs: number },
  random: number,
): number | null => {
  const { error, tries, silentTries, waitedMs } = failure;
  if (!error.retryable || error.facts.phase !== "request") return null;
  if (tries >= policy.maxTries || silentTries >= policy.maxSilentTries) return null;
  const jitter = random * Math.min(policy.capMs, policy.baseMs * 2 ** (tries - 1));
  const asked = error.facts.retryAfterMs ?? 0;
  // Asked for a time, everybody else was asked for the same: the jitter goes on top.
  const wait = asked > 0 ? asked + Math.min(jitter, policy.baseMs) : jitter;
  if (error.limited) return waitedMs + wait > policy.limitPatienceMs ? null : wait;
  return asked > policy.maxRetryAfterMs ? null : wait;
};
