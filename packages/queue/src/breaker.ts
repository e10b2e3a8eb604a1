import type { Logger } from "@cortex/observability";

/**
 * Stops the consumer while Redis answers and refuses (memory full, read-only after a failover, no disk). BullMQ asks again at once and
 * without end then: thousands of errors a second, on both sides.
 */
export interface Breaker {
  /** Takes no more work until Redis takes a write again. Once is enough; more change nothing. */
  open(error: Error): void;
  /** Why no work is taken; null while it is. */
  reason(): string | null;
  close(): void;
}

/** One refused write per this time is all that a full Redis hears of a worker; and so soon after its recovery is work taken again. */
const probeMs = 1_000;

/** @param deps.probe writes something small; rejects as long as Redis refuses */
export const createBreaker = (deps: {
  log: Logger;
  pause: () => void;
  resume: () => void;
  probe: () => Promise<void>;
}): Breaker => {
  let refusal: { reason: string; since: number } | null = null;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const probe = async (): Promise<void> => {
    try {
      await deps.probe();
    } catch (error) {
      deps.log.debug({ err: error }, "Redis still refuses");
      if (!closed) wait();
      return;
    }
    if (closed || !refusal) return;
    deps.log.info(
      { for_ms: Math.round(performance.now() - refusal.since) },
      "Redis takes writes again, and runs are taken",
    );
    refusal = null;
    deps.resume();
  };

  const wait = (): void => {
    timer = setTimeout(() => void probe(), probeMs);
  };

  return {
    open: (error) => {
      if (refusal || closed) return;
      refusal = { reason: error.message, since: performance.now() };
      deps.log.warn({ reason: error.message }, "Redis refuses writes: no runs are taken until that ends");
      deps.pause();
      wait();
    },
    reason: () => refusal?.reason ?? null,
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
};
