import { AppError, type Cursor } from "@cortex/contracts";
import type { EnsureLog, LogEnd, LogPlace, Tail } from "./tail.ts";
import type { Tails } from "./tails.ts";
import { unavailable } from "./unavailable.ts";

/** Entries of one epoch, in order, without a gap to the frame before. Raw JSON, never parsed on the way. */
export interface RunFrame {
  epoch: number;
  first_seq: number;
  /** At most 200, at most about 64 KB. Only the first frame may be empty. */
  entries: string[];
}

export interface FollowInput {
  runId: string;
  /** The last entry that the follower has; null: from the start. */
  after: Cursor | null;
  /** The last entry of the log, as Postgres has noted it; null: not yet. */
  end: Cursor | null;
  /** Ends the following quietly. */
  signal: AbortSignal;
}

/** Where a cursor leads in the log as it is; null if there is (or was) no such entry. */
const placeAfter = (after: Cursor | null, end: LogEnd): LogPlace | null => {
  if (!after || after.epoch < end.epoch) return { epoch: end.epoch, seq: 0 };
  if (after.epoch > end.epoch || after.seq >= end.length) return null;
  return { epoch: end.epoch, seq: after.seq + 1 };
};

/** Waits until the tail knows more than `since`, or the follower goes. */
const untilNews = (tail: Tail, since: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const wake = (): void => {
      signal.removeEventListener("abort", wake);
      callOff();
      resolve();
    };
    let callOff = (): void => {};
    signal.addEventListener("abort", wake);
    callOff = tail.news(since, wake);
    if (signal.aborted) wake();
  });

const firstPlace = async (tail: Tail, input: FollowInput): Promise<LogPlace | null> => {
  for (;;) {
    const version = tail.version();
    let end = tail.end();
    if (end) {
      const place = placeAfter(input.after, end);
      if (place) return place;
      // This process may be a moment behind the one that gave the cursor.
      try {
        await tail.refresh();
      } catch (error) {
        throw unavailable(error);
      }
      end = tail.end() ?? end;
      const second = placeAfter(input.after, end);
      if (second) return second;
      throw new AppError("invalid_cursor", "There is no such place in the stream of this run.");
    }
    // No log yet: whoever works on the run is about to create it.
    await untilNews(tail, version, input.signal);
    if (input.signal.aborted) return null;
  }
};

/**
 * Follows a run's log from a cursor to its end: every entry once, in order. Subscribe, then read, then follow; one reader per follower, which
 * reads only when it is asked for the next frame, so that a slow one costs no memory.
 *
 * - A log that is lost meanwhile comes back under a later epoch, and is told from its start (entry 0 is `resync`).
 * - The first frame comes as soon as the cursor is known to be good, empty if there is nothing to tell yet: everything that can fail with a
 *   status code has happened by then.
 * - Returns after the terminal event; without any frame if the follower has that already.
 *
 * @throws AppError `invalid_cursor`, `unavailable` before the first frame; afterwards a failing Redis only makes it wait
 */
export async function* follow(
  deps: { tails: Tails; ensure: EnsureLog },
  input: FollowInput,
): AsyncGenerator<RunFrame, void, void> {
  const { runId, end: noted, signal } = input;
  const { tail, leave } = await deps.tails.join({ runId, ensure: deps.ensure, end: noted, signal });
  try {
    let place = signal.aborted ? null : await firstPlace(tail, input);
    let isFirst = true;
    while (place && !signal.aborted) {
      const version = tail.version();
      const end = tail.end();
      if (end && end.epoch > place.epoch) place = { epoch: end.epoch, seq: 0 };
      const hasMore: boolean = end !== null && place.seq < end.length;
      if (!hasMore && end?.closed) return;
      const entries: string[] = hasMore ? (tail.newest(place) ?? (await tail.page(place))) : [];
      if (entries.length > 0 || isFirst) {
        yield { epoch: place.epoch, first_seq: place.seq, entries };
        isFirst = false;
        place = { epoch: place.epoch, seq: place.seq + entries.length };
      } else {
        await untilNews(tail, version, signal);
      }
    }
  } finally {
    leave();
  }
}
