import { formatCursor, type UnplacedEvent } from "@cortex/contracts";
import type { Logger } from "@cortex/observability";
import { type Clock, systemClock } from "./clock.ts";
import type { EventLog } from "./event-log.ts";
import { createExactAppender, type LogPosition, type RecoverLog } from "./exact-append.ts";
import { FencedError } from "./fenced-error.ts";
import { createPendingEvents, type Pending } from "./pending-events.ts";

export interface LogWriterDeps {
  log: EventLog;
  recover: RecoverLog;
  /** What makes a durable event the same one in a log and in its derivation from Postgres. */
  identity: (event: UnplacedEvent) => string;
  logger: Logger;
  clock?: Clock;
}

export interface LogWriterSettings {
  /** Previews go out at most this often. Below what an eye can tell, above the round trip, so that a burst becomes few appends. */
  flushMs: number;
  /** Characters of waiting previews beyond which the giver is asked to wait. */
  bufferSize: number;
  /** The bound of one log. Beyond it previews are left out and `log.truncated` is said once; durable events always go in. */
  maxEvents: number;
  maxBytes: number;
  /** How long previews are tried again. < durableRetryMs: their loss costs nothing but a smooth picture. */
  previewRetryMs: number;
  /**
   * How long durable events are tried again, and so how long Redis can hold a run up, once in an outage. > what a restart of Redis takes,
   * and < the lease of a run, although that is renewed in Postgres meanwhile: a worker that is told to go must not wait for Redis.
   */
  durableRetryMs: number;
}

export const defaultLogWriterSettings: LogWriterSettings = {
  flushMs: 15,
  bufferSize: 256 * 1024,
  maxEvents: 50_000,
  maxBytes: 8 * 1024 * 1024,
  previewRetryMs: 1_000,
  durableRetryMs: 5_000,
};

/**
 * The one writer of an attempt. Everything goes into the log in the order in which it was given.
 *
 * What the caller must do: commit to Postgres first, then give the durable events here. Then a rebuilt log (of whoever's making) holds a
 * durable event either already, and it is left out here, or not yet, and it is appended: once in both cases.
 */
export interface LogWriter {
  /**
   * Takes a preview, merges it with its neighbours, sends it soon. The first after a silence goes out at once.
   * @returns nothing to wait for, or a promise if the buffer is full (or of the FencedError that ended this writer)
   */
  preview(event: UnplacedEvent): Promise<void> | void;
  /**
   * Resolves when the events are in the log, after everything before them. If Redis stays away beyond the bound it resolves too: they are
   * safe in Postgres, the log is behind, and it is rebuilt as soon as that can be done.
   * @throws FencedError
   */
  durable(events: readonly UnplacedEvent[]): Promise<void>;
  /**
   * The same for the events that close the log, in the name of the attempt that ending the run has raised.
   * @returns the cursor of the log's last entry; null if Redis is away (whoever finds the log without an end closes it)
   */
  end(events: readonly UnplacedEvent[], attempt: number): Promise<string | null>;
  position(): LogPosition;
  /** Durable events are in Postgres and not in the log. */
  isBehind(): boolean;
  /** Sends what is pending, as far as Redis is there. */
  close(): Promise<void>;
}

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

const firstPauseMs = 20;
const longestPauseMs = 500;
/** A log that is behind is tried this often, whether something happens or not. > longestPauseMs: it is no hurry any more. */
const probeMs = 1_000;

/** @param input `behind`: Redis could not be asked where the log stands, so it is brought up when that can be done */
export const createLogWriter = (
  deps: LogWriterDeps,
  input: { runId: string; attempt: number } & (LogPosition | { behind: true }),
  settings: LogWriterSettings = defaultLogWriterSettings,
): LogWriter => {
  const { logger } = deps;
  const { runId } = input;
  const clock = deps.clock ?? systemClock;
  const isBehindAtFirst = "behind" in input;
  const appender = createExactAppender(deps, isBehindAtFirst ? { ...input, epoch: 1, length: 0 } : input);
  const pending = createPendingEvents();
  /** Durable events by identity: given here and taken care of; in a recovered log before they were given. */
  const given = new Set<string>();
  let held = new Set<string>();
  let waiters: Waiter[] = [];
  let waitingForRoom: Waiter[] = [];
  let pumping = false;
  let idle: Promise<void> = Promise.resolve();
  let callOffFlush: (() => void) | null = null;
  let lastFlush = -Infinity;
  let inTrouble = false;
  let behind = isBehindAtFirst;
  /** When Redis was last found away. */
  let lastTrouble = -Infinity;
  let closing = false;
  let fenced: FencedError | null = null;

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      clock.after(ms, resolve);
    });

  /**
   * Asked when an event is about to be sent and not when it was given: the log may have been recovered in between. Struck off at the first
   * match: a later event like it is another one.
   */
  const isInLog = (event: UnplacedEvent): boolean => held.size > 0 && held.delete(deps.identity(event));

  const recover = async (): Promise<void> => {
    held = (await appender.recover()).difference(given);
    behind = false;
    pending.losePreviews();
    logger.info({ runId, ...appender.position() }, "live log recovered");
  };

  /** Leaves out the previews that the log has no room for, and says so once. */
  const withinBounds = async (batch: readonly Pending[]): Promise<UnplacedEvent[]> => {
    const { length } = appender.position();
    // Before the first answer the length alone is known; only a log that is full by that is worth a question.
    const fill =
      appender.fill() ?? (length < settings.maxEvents ? { bytes: 0, truncated: false } : await appender.readFill());
    let { truncated } = fill;
    const events: UnplacedEvent[] = [];
    for (const { event, preview } of batch) {
      const full = length + events.length >= settings.maxEvents || fill.bytes >= settings.maxBytes;
      if (!preview || !full) {
        events.push(event);
      } else if (!truncated) {
        truncated = true;
        events.push({ type: "log.truncated", run_id: event.run_id, at: event.at, attempt: event.attempt });
      }
    }
    return events;
  };

  /** What to do when Redis (or, in a recovery, Postgres) did not answer: wait and try again, or give these events up. */
  const giveUp = (isDurable: boolean, error: unknown): void => {
    pending.losePreviews();
    lastTrouble = clock.now();
    if (!isDurable || behind) return;
    behind = true;
    logger.warn({ err: error, runId, ...appender.position() }, "live log is behind: Redis did not take its events");
  };

  /** Sends a batch, or gives it up within its patience. Returns why this writer has to stop, or null. */
  const write = async (taken: readonly Pending[], isDurable: boolean): Promise<FencedError | null> => {
    // They are in Postgres, from which the log is brought up when Redis is back: nobody waits for one that was away a moment ago.
    if (behind && clock.now() - lastTrouble < probeMs) return null;
    let batch = taken.filter(({ event }) => !isInLog(event));
    let events: readonly UnplacedEvent[] | null = null;
    let isLost = behind;
    let recoveries = 0;
    let troubleSince: number | null = null;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      try {
        if (isLost) {
          await recover();
          recoveries += 1;
          batch = batch.filter(({ event, preview }) => !preview && !isInLog(event));
          events = null;
        }
        events ??= await withinBounds(batch);
        isLost = (await appender.append(events)) === "lost";
        // Each recovery raises the epoch: not in a tight circle.
        if (isLost && recoveries > 0) throw new Error("the live log was lost again at once");
        inTrouble = isLost;
        if (!isLost) return null;
      } catch (error) {
        if (error instanceof FencedError) return error;
        inTrouble = true;
        troubleSince ??= clock.now();
        const patience = isDurable ? settings.durableRetryMs : closing ? 0 : settings.previewRetryMs;
        if (behind || clock.now() - troubleSince + pauseMs > patience) {
          giveUp(isDurable, error);
          return null;
        }
        await pause(pauseMs);
      }
    }
  };

  const flush = async (): Promise<void> => {
    callOffFlush?.();
    callOffFlush = null;
    lastFlush = clock.now();
    const batch = pending.take();
    const served = waiters;
    waiters = [];
    fenced = await write(batch, served.length > 0);
    for (const { event, preview } of batch) if (!preview) given.add(deps.identity(event));
    const heard = [...served, ...waitingForRoom, ...(fenced ? waiters.splice(0) : [])];
    waitingForRoom = [];
    for (const { resolve, reject } of heard) {
      if (fenced) reject(fenced);
      else resolve();
    }
  };

  /** Is there something to send now? If only later, the clock will say so. */
  const isDue = (): boolean => {
    if (fenced) return false;
    if (waiters.length > 0) return true;
    if (behind && closing) return false;
    if (!behind && pending.isEmpty()) return false;
    const wait = behind ? lastTrouble + probeMs - clock.now() : lastFlush + settings.flushMs - clock.now();
    if (wait <= 0 || closing || pending.size() > settings.bufferSize) return true;
    callOffFlush ??= clock.after(wait, () => {
      callOffFlush = null;
      start();
    });
    return false;
  };

  const pump = async (): Promise<void> => {
    pumping = true;
    while (isDue()) await flush();
    // In the same turn as the last look: what comes now starts the next pump.
    pumping = false;
  };

  const start = (): void => {
    if (!pumping) idle = pump();
  };

  const room = (): Promise<void> | void => {
    if (inTrouble) {
      // Whoever gives previews is not held up by a Redis that is away.
      pending.losePreviews();
      return;
    }
    return new Promise((resolve, reject) => {
      waitingForRoom.push({ resolve, reject });
    });
  };

  const durable = async (events: readonly UnplacedEvent[]): Promise<void> => {
    if (fenced) throw fenced;
    for (const event of events) pending.addDurable(event);
    await new Promise<void>((resolve, reject) => {
      waiters.push({ resolve, reject });
      start();
    });
  };

  /** Where the log ends that somebody else has closed; null if it has no end, or cannot be read. */
  const foreignEnd = async (): Promise<string | null> => {
    try {
      const state = await deps.log.read({ runId, from: 0, limit: 0 });
      return state?.closed ? formatCursor({ epoch: state.epoch, seq: state.length - 1 }) : null;
    } catch (error) {
      // The run has ended whatever Redis does; only its last cursor is noted later.
      logger.warn({ err: error, runId }, "cannot read where a closed log ends");
      return null;
    }
  };

  if (behind) start();

  return {
    preview: (event) => {
      if (fenced) return Promise.reject(fenced);
      if (closing) return;
      if (behind) pending.losePreview(event);
      else pending.addPreview(event);
      if (!pumping && !callOffFlush) start();
      if (pending.size() > settings.bufferSize) return room();
    },
    durable,
    end: async (events, attempt) => {
      appender.raise(attempt);
      try {
        await durable(events);
      } catch (error) {
        // A log that was behind may have been brought to its end already, from what ending the run has stored.
        if (!(error instanceof FencedError)) throw error;
        const cursor = await foreignEnd();
        if (cursor === null && error.reason !== "closed") throw error;
        return cursor;
      }
      const { epoch, length } = appender.position();
      return behind ? null : formatCursor({ epoch, seq: length - 1 });
    },
    position: appender.position,
    isBehind: () => behind,
    close: async () => {
      closing = true;
      start();
      await idle;
      callOffFlush?.();
    },
  };
};
