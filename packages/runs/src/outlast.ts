import { setTimeout as pause } from "node:timers/promises";
import { isOutage } from "@cortex/db";
import type { Logger } from "@cortex/observability";

/**
 * Runs work against Postgres, and again while Postgres does not answer. The work must bear being done twice, also if its first time took
 * effect and only the answer was lost: it reads, or it writes under an id that it recognises (`last_write_id`).
 */
export type Outlast = <Result>(work: () => Promise<Result>) => Promise<Result>;

/** A restart takes a second or two; a connection that broke is replaced at once. */
const firstPauseMs = 50;
const longestPauseMs = 1_000;

/**
 * @param input.until when to give up, by the monotonic clock, asked anew after each failure: as long as the lease may still be ours. What is
 *   under way by then is refused by the fence if it was not; this only decides how long a worker hopes.
 * @throws what the last try threw
 */
export const createOutlast = (deps: { log: Logger }, input: { until: () => number }): Outlast => {
  return async (work) => {
    for (let tries = 1, pauseMs = firstPauseMs; ; tries++, pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        return await work();
      } catch (error) {
        if (!isOutage(error) || performance.now() + pauseMs >= input.until()) throw error;
        // The first failure says what happened; the rest of an outage is in the heartbeat's lines.
        if (tries === 1) deps.log.warn({ err: error }, "Postgres did not answer; trying again while the run is held");
      }
      // With jitter, so that the runs of a fleet do not come back as one.
      await pause(pauseMs * (0.5 + Math.random() / 2));
    }
  };
};
