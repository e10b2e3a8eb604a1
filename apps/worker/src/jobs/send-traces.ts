import type { Db } from "@cortex/db";
import type { Logger } from "@cortex/observability";
import { claimDueTraces, dropOldTraces, type DueTrace, noteTraced, readTracedRun } from "@cortex/runs";
import type { TraceTarget } from "@cortex/traces";

export interface TraceDeps {
  db: Db;
  log: Logger;
  targets: readonly TraceTarget[];
}

/** Runs taken from the line at once; with one request of at most `timeoutMs` (5 s) each they are done well within the time they are held. */
const batch = 10;
const holdMs = 60_000;
/** A target that failed is left alone for so long, twice as long each time. */
const firstPauseMs = 2_000;
const longestPauseMs = 60_000;
const dropBatch = 1_000;

/**
 * Sends the traces of ended runs, by and by, beside the work: nothing waits for it. Of several workers each takes others. A target that does
 * not answer is left alone for a while; what could not be sent stays in the line in Postgres.
 */
export const createTraceSender = ({ db, log, targets }: TraceDeps, clock: { now: () => number } = Date) => {
  const pauses = new Map<string, { untilMs: number; lengthMs: number }>();
  const isAway = ({ name }: TraceTarget) => (pauses.get(name)?.untilMs ?? 0) > clock.now();

  const trySend = async (target: TraceTarget, run: Parameters<TraceTarget["send"]>[0]): Promise<boolean> => {
    try {
      await target.send(run);
      if (pauses.delete(target.name)) log.info({ target: target.name }, "traces arrive again");
      return true;
    } catch (error) {
      const lengthMs = Math.min(longestPauseMs, (pauses.get(target.name)?.lengthMs ?? firstPauseMs / 2) * 2);
      // One line per pause: what fails for one run fails for the next hundred.
      log.warn({ err: error, target: target.name, run_id: run.id, pause_ms: lengthMs }, "a trace could not be sent");
      pauses.set(target.name, { untilMs: clock.now() + lengthMs, lengthMs });
      return false;
    }
  };

  const sendOne = async (due: DueTrace): Promise<void> => {
    const missing = targets.filter(({ name }) => !due.tracedTo.includes(name));
    const run = missing.length === 0 ? null : await readTracedRun(db, due);
    const tracedTo = [...due.tracedTo];
    // A run that is gone has no trace.
    if (run === null) return void (await noteTraced(db, { runId: due.runId, tracedTo, done: true }));
    for (const target of missing) {
      if (!isAway(target) && (await trySend(target, run))) tracedTo.push(target.name);
    }
    const done = targets.every(({ name }) => tracedTo.includes(name));
    if (done || tracedTo.length > due.tracedTo.length) await noteTraced(db, { runId: due.runId, tracedTo, done });
  };

  return {
    /** One round. @returns how many runs it has looked at */
    sendDue: async (): Promise<number> => {
      if (targets.every(isAway)) return 0;
      const due = await claimDueTraces(db, { batch, holdMs });
      for (const each of due) {
        try {
          await sendOne(each);
        } catch (error) {
          // It is held back by its claim; the others of this round must not wait as long as it does.
          log.warn({ err: error, run_id: each.runId }, "a trace could not be made");
        }
      }
      return due.length;
    },
    dropOld: () => dropOldTraces(db, { batch: dropBatch }),
  };
};
