/** A limit of the model's provider, as one step has met it so far. Times in milliseconds. */
export interface ProviderLimit {
  /** What the provider asks us to wait; null: it does not say. */
  askedMs: number | null;
  /** Waits of this step before this one, and how long they were together. */
  waits: number;
  waitedMs: number;
  /** All waits of one step together may take so long. */
  maxWaitMs: number;
  /** Until the run's deadline. */
  leftMs: number;
}

export type WaitVerdict = { kind: "wait"; waitMs: number } | { kind: "give_up" };

/** Where the provider does not say how long: the n-th wait is 5, 10, 20, 40, 60, 60 … seconds, of which a random half may be missing. */
const firstWaitMs = 5_000;
const longestWaitMs = 60_000;
/** Everybody was asked for the same time; they must not all knock at the end of it. < firstWaitMs */
const spreadMs = 1_000;

/**
 * How long a run waits for the provider, or that waiting does not help: the time that is asked for does not fit into what is left. Pure.
 *
 * A provider that limits the same step again was too hopeful the first time: then its wish is only the least.
 * @param random in [0, 1)
 */
export const judgeWait = (limit: ProviderLimit, random: number): WaitVerdict => {
  const { askedMs, waits } = limit;
  const boundMs = Math.min(limit.maxWaitMs - limit.waitedMs, limit.leftMs);
  if ((askedMs ?? firstWaitMs) > boundMs) return { kind: "give_up" };
  const own = Math.min(longestWaitMs, firstWaitMs * 2 ** waits) * (0.5 + random / 2);
  const wished = askedMs === null ? own : askedMs + random * spreadMs;
  const waitMs = waits === 0 ? wished : Math.max(wished, own);
  return { kind: "wait", waitMs: Math.round(Math.min(waitMs, boundMs)) };
};
