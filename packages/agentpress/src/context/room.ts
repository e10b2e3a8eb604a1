/** What fits into a model, in tokens. */
export interface Room {
  /** Everything: what it reads and what it writes. */
  window: number;
  /** What it may read: prompt, tools and conversation. */
  input: number;
}

/** For a model of which nothing is known. Most have that much or more; one that has less says so, and is believed. */
export const defaultAssumedWindow = 128_000;

/**
 * Shares of the room for the conversation. outputsFrom < summariseFrom < full: first old results become stubs, which costs nothing; then older
 * turns become a summary, which costs a model call; then even the newest results are cut. keptOutputs and keptTurns are far below what sets
 * them off, so that each compaction makes room for many steps and the beginning of the prompt stays as it is for as long, in the
 * provider's cache, too.
 */
export const shares = {
  outputsFrom: 0.6,
  /** How much must have come since the last stubs, before more are made. */
  outputsBlock: 0.15,
  keptOutputs: 0.25,
  summariseFrom: 0.8,
  keptTurns: 0.3,
  /** A summary must be worth its call: this much must be gone. */
  leastSummarised: 0.15,
  full: 0.95,
  /** One result, however long. */
  oneOutput: 0.25,
} as const;

/** No model needs more than this share of its window for an answer, whatever its output limit says. */
const mostForOutput = 0.25;

/** @param maxOutput tokens that the model may write, as far as known */
export const roomOf = (window: number, maxOutput: number | null): Room => ({
  window,
  input: Math.max(1, window - Math.min(maxOutput ?? Infinity, Math.floor(window * mostForOutput))),
});

/** How long a summary may be, tokens. */
export const summaryTokens = (room: Room): number => Math.min(4_000, Math.max(150, Math.floor(room.window * 0.05)));
