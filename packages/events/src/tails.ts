import type { Cursor } from "@cortex/contracts";
import type { Logger } from "@cortex/observability";
import { systemClock, type Clock } from "./clock.ts";
import type { EventLog } from "./event-log.ts";
import type { Subscriber } from "./subscriber.ts";
import { type EnsureLog, openTail, type Tail } from "./tail.ts";
import { unavailable } from "./unavailable.ts";

/** The tails of all runs that are followed in this process; one for each, as long as somebody follows. */
export interface Tails {
  /**
   * Resolves when everything from now on will be seen.
   * @param input.end the last entry, if Postgres has noted it
   * @throws AppError `unavailable` if Redis (or, for a missing log, Postgres) does not answer in time
   */
  join(input: {
    runId: string;
    ensure: EnsureLog;
    end: Cursor | null;
    signal: AbortSignal;
  }): Promise<{ tail: Tail; leave(): void }>;
  /** How many runs are followed. */
  size(): number;
}

/** < what a client waits for the first byte. > one reconnection. */
const joinMs = 3_000;

export const createTails = (deps: { log: EventLog; subscriber: Subscriber; logger: Logger; clock?: Clock }): Tails => {
  const clock = deps.clock ?? systemClock;
  const open = new Map<string, { tail: Tail; followers: number }>();

  const withinTime = (work: Promise<void>, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        callOff();
        signal.removeEventListener("abort", go);
        act();
      };
      const go = (): void => settle(resolve);
      const callOff = clock.after(joinMs, () =>
        settle(() => reject(unavailable(new Error(`not within ${joinMs} ms`)))),
      );
      signal.addEventListener("abort", go);
      work.then(go, (error: unknown) => settle(() => reject(unavailable(error))));
    });

  return {
    join: async ({ runId, ensure, end, signal }) => {
      let entry = open.get(runId);
      if (entry) entry.tail.ensureWith(ensure);
      else open.set(runId, (entry = { tail: openTail({ ...deps, clock }, { runId, ensure }), followers: 0 }));
      const { tail } = entry;
      if (end) tail.noteEnd(end);
      const joined = entry;
      joined.followers += 1;
      let left = false;
      const leave = (): void => {
        if (left) return;
        left = true;
        joined.followers -= 1;
        if (joined.followers > 0) return;
        open.delete(runId);
        tail.close();
      };
      try {
        await withinTime(tail.ready(), signal);
      } catch (error) {
        leave();
        throw error;
      }
      return { tail, leave };
    },
    size: () => open.size,
  };
};
