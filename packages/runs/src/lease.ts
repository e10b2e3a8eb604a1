import type { Db } from "@cortex/db";
import type { Logger } from "@cortex/observability";
import { type HeldRun, heartbeat } from "./fleet.ts";
import { createOutlast, type Outlast } from "./outlast.ts";
import { LeaseEnded, type LeaseEndReason } from "./run.ts";
import type { RunSettings } from "./settings.ts";

/** The hold of one run: valid until its signal aborts (with a `LeaseEnded`). */
export interface Lease {
  signal: AbortSignal;
  /** Ends the hold from this side, for a reason other than release (stop heard by pub/sub, queue lock lost). */
  end(reason: LeaseEndReason): void;
  /** The run is done or handed over: stop renewing. */
  release(): void;
  /** For everything that this attempt wants of Postgres: tries again as long as the lease may still be ours. */
  outlast: Outlast;
  /** Milliseconds since the claim was sent, by the monotonic clock. */
  heldMs(): number;
}

export interface LeaseKeeper {
  /** @param run.claimedAt the monotonic clock before the claim was sent: the lease may be as old as that */
  hold(run: HeldRun & { claimedAt: number }): Lease;
  /** A stop request for a run was heard; nothing happens if it is not held here. */
  stop(runId: string): void;
  /** Lets go of everything: the leases abort with that reason. */
  endAll(reason: LeaseEndReason): void;
  /** A run's log is closed; its last cursor is written with the next heartbeat. */
  noteClosed(runId: string, cursor: string): void;
  /** A run's log says that it waits; that is noted with the next heartbeat, and the sweeper need not look. */
  noteWaiting(run: HeldRun): void;
  /** When the last heartbeat succeeded, for the liveness check (milliseconds of the monotonic clock). */
  lastBeat(): number;
  held(): number;
  close(): Promise<void>;
}

interface Held extends HeldRun {
  /** Since then, at the earliest, the lease counts: a moment before the request was sent, not when its answer came. */
  renewedAt: number;
  abort: AbortController;
}

/**
 * Renews the leases of all runs of a worker with one statement per heartbeat, and turns what comes back into abort signals. It also
 * watches its own clock: a partitioned worker hears nothing, so a lease that was not renewed for `giveUpAfterMs` counts as lost. That is
 * shorter than the lease, hence this worker is quiet before another may start.
 */
export const createLeaseKeeper = (
  deps: { db: Db; log: Logger },
  input: { workerId: string; concurrency: number; settings: RunSettings },
): LeaseKeeper => {
  const { settings } = input;
  const runs = new Map<string, Held>();
  let closed: { runId: string; cursor: string }[] = [];
  let waiting: HeldRun[] = [];
  let lastBeat = performance.now();
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  let beating: Promise<void> = Promise.resolve();

  const end = (run: Held, reason: LeaseEndReason): void => {
    if (!run.abort.signal.aborted) run.abort.abort(new LeaseEnded(reason));
  };

  const beat = async (): Promise<void> => {
    const asked = [...runs.values()].filter((run) => !run.abort.signal.aborted);
    const ended = closed;
    closed = [];
    const parked = waiting;
    waiting = [];
    const sentAt = performance.now();
    try {
      const answer = await heartbeat(deps.db, {
        workerId: input.workerId,
        concurrency: input.concurrency,
        leaseMs: settings.leaseMs,
        runs: asked.map(({ runId, attempt }) => ({ runId, attempt })),
        closed: ended,
        waiting: parked,
      });
      lastBeat = performance.now();
      for (const run of asked) {
        const state = answer.held.get(run.runId);
        if (state?.renewed) run.renewedAt = sentAt;
        // Released in the meantime is not lost.
        if (!state && runs.get(run.runId) === run) end(run, "lost");
        if (state?.stopRequested) end(run, "stopped");
      }
    } catch (error) {
      closed.push(...ended);
      waiting.push(...parked);
      deps.log.warn({ err: error, held: runs.size }, "heartbeat failed");
    }
  };

  // A clock of its own: the heartbeat itself may hang on a dead connection.
  const watch = setInterval(() => {
    const oldest = performance.now() - settings.giveUpAfterMs;
    for (const run of runs.values()) if (run.renewedAt < oldest) end(run, "lost");
  }, settings.heartbeatMs);

  const loop = (): void => {
    timer = setTimeout(() => {
      beating = beat().then(() => {
        if (!stopped) loop();
      });
    }, settings.heartbeatMs);
  };
  loop();

  return {
    hold: ({ claimedAt, ...claimed }) => {
      const run: Held = { ...claimed, renewedAt: claimedAt, abort: new AbortController() };
      // Of an earlier attempt, which this process has not let go of yet: nobody else would tell it.
      const before = runs.get(claimed.runId);
      if (before) end(before, "lost");
      runs.set(claimed.runId, run);
      return {
        signal: run.abort.signal,
        end: (reason) => end(run, reason),
        release: () => {
          if (runs.get(claimed.runId) === run) runs.delete(claimed.runId);
        },
        heldMs: () => performance.now() - claimedAt,
        outlast: createOutlast(deps, {
          until: () => (isLost(run.abort.signal) ? -Infinity : run.renewedAt + settings.giveUpAfterMs),
        }),
      };
    },
    stop: (runId) => {
      const run = runs.get(runId);
      if (run) end(run, "stopped");
    },
    endAll: (reason) => {
      for (const run of runs.values()) end(run, reason);
    },
    noteClosed: (runId, cursor) => void closed.push({ runId, cursor }),
    noteWaiting: ({ runId, attempt }) => void waiting.push({ runId, attempt }),
    lastBeat: () => lastBeat,
    held: () => runs.size,
    close: async () => {
      stopped = true;
      clearTimeout(timer);
      clearInterval(watch);
      await beating;
      // What became of the runs that ended or began to wait since the last beat.
      if (closed.length + waiting.length > 0) await beat();
    },
  };
};

const isLost = (signal: AbortSignal): boolean => signal.reason instanceof LeaseEnded && signal.reason.reason === "lost";
