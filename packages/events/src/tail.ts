import type { Cursor } from "@cortex/contracts";
import { failpoint } from "@cortex/failpoints";
import type { Logger } from "@cortex/observability";
import type { Clock } from "./clock.ts";
import { createEntryWindow, frameEntries, frameSize } from "./entry-window.ts";
import type { EventLog } from "./event-log.ts";
import { parseHint } from "./hint.ts";
import { logKeys } from "./keys.ts";
import type { Subscriber } from "./subscriber.ts";

export interface TailDeps {
  log: EventLog;
  subscriber: Subscriber;
  logger: Logger;
  clock: Clock;
}

/**
 * Makes sure that a run has a log, from what Postgres holds: creates one that never was, rebuilds a lost one under the next epoch (never the
 * same one again: an epoch means one list). Null as the answer: whoever works on the run is about to create it.
 *
 * `seen` is the log as far as the caller knows it, null if not at all. A log of that epoch that is shorter now has lost its end (a Redis that
 * was restored from an older state), so it counts as lost too.
 */
export type EnsureLog = (input: {
  runId: string;
  seen: { epoch: number; length: number } | null;
}) => Promise<{ epoch: number } | null>;

/** Where a log ends, as far as this process knows. */
export interface LogEnd {
  epoch: number;
  length: number;
  closed: boolean;
}

export interface LogPlace {
  epoch: number;
  seq: number;
}

/** What one process knows of one followed log; shared by all its followers, so that an entry is fetched once for all of them. */
export interface Tail {
  /** Resolves when the subscription stands and the log has been looked at since. Rejects with what stood in the way. */
  ready(): Promise<void>;
  end(): LogEnd | null;
  /** The next entries, if they are among the newest. */
  newest(place: LogPlace): string[] | null;
  /** The next entries from the list; none if they cannot be had now: wait for news then. */
  page(place: LogPlace): Promise<string[]>;
  /** Looks at the log now, not trusting what is known. */
  refresh(): Promise<void>;
  /** Changes with everything there is to know. Take it before looking, give it to `news` after. */
  version(): number;
  /** Calls `wake` once as soon as the version is another one. Returns how to call it off. */
  news(since: number, wake: () => void): () => void;
  /** From now on asks this one. */
  ensureWith(ensure: EnsureLog): void;
  /** Postgres has noted this as the last entry of the closed log: one that does not reach it now has lost its end, whoever has seen it. */
  noteEnd(last: Cursor): void;
  close(): void;
}

/**
 * A lost hint is made good within this time. It also bounds how long a follower hangs after a failed read.
 */
const pollMs = 1_000;
/** A log on which nothing happened for idleAfterMs is looked at less often: a thousand waiting runs are then 200 small reads a second. */
const idlePollMs = 5_000;
const idleAfterMs = 60_000;

/** Pages that are kept for the followers who come to the same place a moment later. × frameSize = 256 KB. */
const keptPages = 4;

export const openTail = (deps: TailDeps, input: { runId: string; ensure: EnsureLog }): Tail => {
  const { log, logger, clock } = deps;
  const { runId } = input;
  const window = createEntryWindow();
  const pages = new Map<string, Promise<string[]>>();
  const waiting = new Set<() => void>();
  let { ensure } = input;
  let end: LogEnd | null = null;
  let version = 0;
  let lastNews = clock.now();
  let isReady = false;
  let closed = false;
  /** A read failed since the followers were last woken. */
  let troubled = false;
  let syncing: Promise<void> | null = null;
  let nextSync: Promise<void> | null = null;
  let callOffPoll: () => void = () => {};

  const announce = (): void => {
    version += 1;
    lastNews = clock.now();
    const woken = [...waiting];
    waiting.clear();
    for (const wake of woken) wake();
  };

  /** Takes in what a hint or a read says, in whatever order they come: nothing known is forgotten, an earlier epoch is ignored. */
  const learn = (known: LogEnd, entries: { firstSeq: number; texts: readonly string[] } | null): void => {
    if (end && known.epoch < end.epoch) return;
    const isNew = !end || known.epoch > end.epoch;
    // Entries and the end come in one append, so the length tells everything.
    if (end && !isNew && known.length <= end.length) return;
    if (isNew) window.beginAt(entries?.firstSeq ?? known.length);
    if (entries) window.add(entries.firstSeq, entries.texts);
    if (end && !isNew) {
      end = { epoch: end.epoch, length: Math.max(end.length, known.length), closed: end.closed || known.closed };
    } else {
      end = { epoch: known.epoch, length: known.length, closed: known.closed };
    }
    announce();
  };

  const readEnd = async (): Promise<void> => {
    // A hint may overtake the answer: it is judged by what was known when it was asked for.
    const before = end;
    await failpoint("follow.before_read");
    let state = await log.read({ runId, from: 0, limit: 0 });
    const isShorter =
      state && before && (state.epoch < before.epoch || (state.epoch === before.epoch && state.length < before.length));
    if (!state || isShorter) {
      const ensured = await ensure({ runId, seen: before && { epoch: before.epoch, length: before.length } });
      state = ensured && (await log.read({ runId, from: 0, limit: 0 }));
    }
    if (state) learn(state, null);
  };

  /** One look at a time; one that is asked for during another begins after it. */
  const refresh = (): Promise<void> => {
    if (!syncing) {
      syncing = readEnd().finally(() => {
        syncing = null;
      });
      return syncing;
    }
    nextSync ??= syncing
      .catch(() => null) // its own caller hears of it
      .then(() => {
        nextSync = null;
        return refresh();
      });
    return nextSync;
  };

  const noteTrouble = (error: unknown): void => {
    if (!troubled && !closed) logger.warn({ err: error, runId }, "cannot read a followed log, trying again");
    troubled = true;
  };

  const poll = (): void => {
    const pause = clock.now() - lastNews > idleAfterMs ? idlePollMs : pollMs;
    callOffPoll = clock.after(pause, () => {
      const again = async () => {
        await refresh();
        // Those who could not read try again now, and not in a tight circle.
        if (troubled) announce();
        troubled = false;
      };
      void again()
        .catch(noteTrouble)
        .then(() => {
          if (!closed) poll();
        });
    });
  };

  let acknowledge: () => void = () => {};
  const acknowledged = new Promise<void>((resolve) => {
    acknowledge = resolve;
  });
  const leave = deps.subscriber.listen(logKeys(runId).news, {
    subscribed: () => {
      acknowledge();
      if (isReady) refresh().catch(noteTrouble);
    },
    message: (text) => {
      const hint = parseHint(text);
      if (hint) learn(hint, hint.entries);
      else refresh().catch(noteTrouble);
    },
  });
  poll();

  const readPage = async (place: LogPlace): Promise<string[]> => {
    const page = await log.read({
      runId,
      epoch: place.epoch,
      from: place.seq,
      limit: frameEntries,
      maxBytes: frameSize,
    });
    if (page) learn(page, null);
    if (page?.epoch === place.epoch && page.entries.length > 0) return page.entries;
    throw new Error(`no entry ${place.epoch}.${place.seq} in the list`);
  };

  return {
    ready: async () => {
      if (isReady) return;
      await acknowledged;
      await refresh();
      isReady = true;
    },
    end: () => end,
    newest: (place) => (end?.epoch === place.epoch ? window.from(place.seq) : null),
    page: async (place) => {
      const key = `${place.epoch}.${place.seq}`;
      let page = pages.get(key);
      if (!page) {
        page = readPage(place);
        pages.set(key, page);
        const [oldest] = pages.keys();
        if (pages.size > keptPages && oldest !== undefined) pages.delete(oldest);
      }
      try {
        return await page;
      } catch (error) {
        if (pages.get(key) === page) pages.delete(key);
        noteTrouble(error);
        return [];
      }
    },
    refresh,
    version: () => version,
    news: (since, wake) => {
      if (since === version) waiting.add(wake);
      else wake();
      return () => void waiting.delete(wake);
    },
    ensureWith: (next) => {
      ensure = next;
    },
    noteEnd: ({ epoch, seq }) => learn({ epoch, length: seq + 1, closed: true }, null),
    close: () => {
      closed = true;
      callOffPoll();
      leave();
    },
  };
};
