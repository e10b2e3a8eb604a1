import { type Cursor, formatCursor, parseCursor } from "@cortex/contracts";
import { ApiError, ConnectionError, UnexpectedAnswerError } from "../failures.ts";
import { type Connection, path } from "../http/connection.ts";
import { pause } from "../http/pause.ts";
import type { ClientTiming } from "../http/timing.ts";
import { cursorOf, eventOf, type FollowedEvent, placeOf } from "./log-place.ts";
import { openStream } from "./open-stream.ts";

/** A connection broke and is about to be opened again. */
export interface StreamBreak {
  /** Why: a failure, or null when the server closed before the end (it was restarted, or wanted to see a fresh token). */
  failure: ApiError | ConnectionError | UnexpectedAnswerError | null;
  /**
   * Breaks in a row without any news, this one included. A connection that was well for longer than a dead one could be ends the row; 0: it was, and
   * the server closed it, as it does with each in the end.
   */
  failures: number;
  waitMs: number;
}

export interface FollowOptions {
  /** The `cursor` of the last event that is known already; without it the run is told from its start. */
  after?: string | null | undefined;
  /** Ends the following: the loop throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Told before each wait: what a page shows as "connecting again". */
  onBreak?: ((info: StreamBreak) => void) | undefined;
  /** Give up after so many breaks in a row without any news; the last failure is thrown. Without it, never. */
  maxFailures?: number | undefined;
}

interface Follower {
  connection: Connection;
  timing: ClientTiming;
  random: () => number;
}

/** What went wrong with one connection, and how long the server wants us to stay away. */
interface Broken {
  failure: StreamBreak["failure"];
  retryMs: number | null;
}

/** A log that cannot be read is not a broken line: after so many looks at the same place in a row it will not change. */
const MAX_UNREADABLE = 3;

/**
 * Follows a run from a cursor to its end: every event once, in order, over any number of broken connections. Each connection asks for what
 * comes after the last event that was passed on, with a fresh token; whatever the server repeats is dropped, a gap is asked for again.
 *
 * A `resync` is passed on like any event: the log was rebuilt, what was known is void, everything comes again.
 *
 * @throws ApiError when the API refuses (4xx but for 408 and 429) · ConnectionError only after `maxFailures` · UnexpectedAnswerError ·
 *   the signal's reason · whatever `token` throws, but for a ConnectionError, which is a break like any other
 */
export async function* followRun(
  follower: Follower,
  runId: string,
  options: FollowOptions = {},
): AsyncGenerator<FollowedEvent, void, void> {
  const { timing } = follower;
  const signal = options.signal ?? null;
  let last = startOf(options.after ?? null);
  let failures = 0;
  let unreadable = 0;
  let retryMs: number | null = null;
  for (;;) {
    signal?.throwIfAborted();
    const began = performance.now();
    const stream = events(follower, runId, last, signal);
    let next = await stream.next();
    try {
      for (; !next.done; next = await stream.next()) {
        failures = 0;
        unreadable = 0;
        last = next.value.at;
        if (next.value.event !== null) yield next.value.event;
        signal?.throwIfAborted(); // what has arrived already is not shown any more
      }
    } finally {
      await stream.return("ended");
    }
    if (next.value === "ended") return;
    const { failure } = next.value;
    retryMs = next.value.retryMs ?? retryMs;
    // Heartbeats without news: silence would have ended it.
    const wasWell = performance.now() - began > timing.silenceMs;
    if (wasWell) failures = 0;
    if (failure !== null || !wasWell) failures += 1;
    if (failure instanceof UnexpectedAnswerError) unreadable += 1;
    if (failure !== null && (failures >= (options.maxFailures ?? Infinity) || unreadable >= MAX_UNREADABLE))
      throw failure;
    const waitMs = reconnectWait({ timing, failure, retryMs, failures, random: follower.random() });
    options.onBreak?.({ failure, failures, waitMs });
    await pause(waitMs, signal);
  }
}

const startOf = (after: string | null): Cursor | null => {
  if (after === null) return null;
  const cursor = parseCursor(after);
  if (cursor === null) throw new TypeError(`${JSON.stringify(after)} is no cursor of a run's stream`);
  return cursor;
};

/** The news of one connection: only entries that follow the last one without a gap. */
async function* events(
  follower: Follower,
  runId: string,
  after: Cursor | null,
  signal: AbortSignal | null,
): AsyncGenerator<{ at: Cursor; event: FollowedEvent | null }, Broken | "ended", void> {
  let last = after;
  let retryMs: number | null = null;
  const stream = openStream(
    follower.connection,
    {
      request: {
        method: "GET",
        path: path`/agent-run/${runId}/stream`,
        // Not as a header: `Last-Event-ID` would have to be allowed for every foreign origin.
        query: { after: after === null ? null : formatCursor(after) },
        headers: { accept: "text/event-stream" },
      },
      silenceMs: follower.timing.silenceMs,
    },
    signal,
  );
  try {
    let next = await stream.next();
    for (; !next.done; next = await stream.next()) {
      retryMs = next.value.retryMs;
      for (const frame of next.value.frames) {
        if (frame.event === "done") return "ended";
        if (frame.event !== "message") continue;
        const at = cursorOf(frame);
        const place = placeOf(last, at);
        if (place === "known") continue;
        if (place === "gap") throw new UnexpectedAnswerError(`the stream jumped to ${formatCursor(at)}`);
        const event = eventOf(frame);
        last = at;
        yield { at, event };
      }
    }
    return next.value === "nothing" ? "ended" : { failure: null, retryMs };
  } catch (failure) {
    return { failure: passing(failure, signal), retryMs };
  } finally {
    await stream.return("closed");
  }
}

/** What may be gone at the next try; everything else is thrown. */
const passing = (failure: unknown, signal: AbortSignal | null): NonNullable<StreamBreak["failure"]> => {
  signal?.throwIfAborted();
  if (failure instanceof ConnectionError || failure instanceof UnexpectedAnswerError) return failure;
  if (failure instanceof ApiError && (failure.status === 408 || failure.status === 429 || failure.status >= 500))
    return failure;
  throw failure;
};

/**
 * Somewhere between `reconnectMs` and a ceiling that doubles up to `longestReconnectMs`: when an API process goes, all its followers come back at
 * once. The stream's own `retry:` is the first ceiling, so the operator says how wide they spread; `Retry-After` is kept to the letter.
 */
export const reconnectWait = (
  input: Broken & { timing: ClientTiming; /** 1 for the first, 0 for none */ failures: number; random: number },
): number => {
  const { timing, failure, failures, random } = input;
  const ceiling = Math.min(
    timing.longestReconnectMs,
    Math.max(2 * timing.reconnectMs, input.retryMs ?? 0) * 2 ** Math.max(0, Math.min(failures - 1, 30)),
  );
  const shortest = Math.min(timing.reconnectMs, ceiling);
  const asked = failure instanceof ApiError ? (failure.retryAfterMs ?? 0) : 0;
  return Math.max(shortest + (ceiling - shortest) * random, asked);
};
