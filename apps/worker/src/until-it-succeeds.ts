import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@cortex/observability";

/** Soon enough for whoever starts everything at once, seldom enough for a log that is read by people. */
const pauseMs = 1_000;

/** Tries again and again, without end: for what a process cannot work without, and that may come later than the process. */
export const untilItSucceeds = async (deps: { log: Logger; what: string }, act: () => Promise<void>): Promise<void> => {
  for (let attempt = 1; ; attempt++) {
    try {
      await act();
      return;
    } catch (error) {
      deps.log.warn({ err: error, attempt }, `${deps.what} failed, trying again`);
      await delay(pauseMs);
    }
  }
};
