import type { ConsumerState } from "@cortex/queue";

export interface LivenessDeps {
  /** When the last heartbeat got through; only whether that changes is of interest. */
  lastBeat: () => number;
  /** Rejects if Postgres does not answer. */
  askPostgres: () => Promise<unknown>;
  consumer: () => ConsumerState;
  /** Deliveries that wait in the queue; rejects if Redis does not answer. */
  waiting: () => Promise<number>;
  /** Called once. */
  onWedged: (reason: string) => void;
}

export interface Liveness {
  /** Why this process is of no use any more; null while it is. */
  wedged(): string | null;
  close(): void;
}

/** A worker is restarted for what a restart mends, and never because something that it depends on is away. */
type Verdict = { kind: "well" } | { kind: "wedged"; reason: string };

const answers = (question: Promise<unknown>): Promise<boolean> =>
  question.then(
    () => true,
    () => false,
  );

/**
 * Looks again and again whether this worker still does what it is there for:
 * - its heartbeat gets through, if Postgres answers at all;
 * - it begins runs, if there are some that wait, and it has a free place, and Redis takes writes.
 *
 * BullMQ's consumers have been seen alive, connected, and deaf; only not beginning anything tells.
 * It counts its own looks and not time: a process that was stopped as a whole (SIGSTOP, a suspended machine) gets its chance afterwards.
 * @param input.limitMs how long either may fail. > one lease: the runs are somebody else's by then, so nothing is lost by ending
 */
export const watchLiveness = (
  deps: LivenessDeps,
  input: { concurrency: number; limitMs: number; everyMs: number },
): Liveness => {
  const { everyMs } = input;
  const limit = Math.ceil(input.limitMs / everyMs);
  let reason: string | null = null;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let seenBeat = deps.lastBeat();
  /** Looks in a row without a heartbeat in between, though Postgres answered: after an outage the heartbeat is given its time, too. */
  let silent = 0;
  /** Looks in a row at which something waited that we could have begun. */
  let deaf = 0;

  const judge = async (): Promise<Verdict> => {
    const beat = deps.lastBeat();
    silent = beat === seenBeat && (await answers(deps.askPostgres())) ? silent + 1 : 0;
    seenBeat = beat;
    if (silent > limit) return { kind: "wedged", reason: "the heartbeat does not get through, and Postgres answers" };
    const { running, lastBegun, refused } = deps.consumer();
    const couldBegin = running < input.concurrency && refused === null && performance.now() - lastBegun > everyMs;
    const waiting = couldBegin ? await deps.waiting().catch(() => 0) : 0;
    deaf = waiting === 0 ? 0 : deaf + 1;
    if (deaf > limit)
      return { kind: "wedged", reason: "runs wait in the queue, there is a free place, and nothing is begun" };
    return { kind: "well" };
  };

  const look = async (): Promise<void> => {
    const verdict = await judge();
    if (closed) return;
    if (verdict.kind === "well") {
      wait();
      return;
    }
    reason = verdict.reason;
    deps.onWedged(reason);
  };

  const wait = (): void => {
    timer = setTimeout(() => void look(), everyMs);
  };
  wait();

  return {
    wedged: () => reason,
    close: () => {
      closed = true;
      clearTimeout(timer);
    },
  };
};
