import type { Cursor } from "@cortex/contracts";
import { silentLogger } from "@cortex/observability";
import { eventually } from "@cortex/testing";
import type { Redis } from "ioredis";
import type { Clock } from "../clock.ts";
import { createEventLog, type EventLog } from "../event-log.ts";
import { follow, type RunFrame } from "../follow.ts";
import { createSubscriber } from "../subscriber.ts";
import type { EnsureLog } from "../tail.ts";
import { createTails } from "../tails.ts";

/** What a follower got: each entry as text, with its place. */
export interface Received {
  entries: string[];
  cursor: Cursor | null;
  /** Places where the epoch changed. */
  epochs: number[];
}

/** A run without a log is none of these tests' business unless they say so. */
const noSuchLog: EnsureLog = async () => null;

/** What one API process has for following, with its reads counted. */
export const openFollowing = (redis: Redis, options: { clock?: Clock } = {}) => {
  const events = createEventLog(redis);
  const counts = { reads: 0 };
  const log: EventLog = {
    ...events,
    read: (input) => {
      counts.reads += 1;
      return events.read(input);
    },
  };
  const subscriber = createSubscriber({ redis, log: silentLogger() });
  const tails = createTails({ log, subscriber, logger: silentLogger(), ...options });

  const frames = (
    runId: string,
    from: { after?: Cursor | null; end?: Cursor; signal?: AbortSignal; ensure?: EnsureLog } = {},
  ): AsyncGenerator<RunFrame, void, void> =>
    follow(
      { tails, ensure: from.ensure ?? noSuchLog },
      {
        runId,
        after: from.after ?? null,
        end: from.end ?? null,
        signal: from.signal ?? new AbortController().signal,
      },
    );

  /** Follows to the end, or until `enough` says so; checks on the way that each frame joins the one before. */
  const receive = async (
    runId: string,
    received: Received = { entries: [], cursor: null, epochs: [] },
    from: { ensure?: EnsureLog; enough?: () => boolean } = {},
  ): Promise<Received> => {
    for await (const frame of frames(runId, { after: received.cursor, ...from })) {
      const last = received.cursor;
      if (!last || frame.epoch !== last.epoch) {
        if (frame.entries.length > 0) received.epochs.push(frame.epoch);
        if (frame.first_seq !== 0) throw new Error(`epoch ${frame.epoch} begins at ${frame.first_seq}`);
      } else if (frame.first_seq !== last.seq + 1) {
        throw new Error(`a frame begins at ${frame.first_seq} after ${last.seq}`);
      }
      received.entries.push(...frame.entries);
      if (frame.entries.length > 0)
        received.cursor = { epoch: frame.epoch, seq: frame.first_seq + frame.entries.length - 1 };
      if (from.enough?.()) break;
    }
    return received;
  };

  return { tails, counts, frames, receive, close: () => subscriber.close() };
};

export type Following = ReturnType<typeof openFollowing>;

/** Lets everything else go on for some turns of the event loop: a moment without a clock. */
export const turns = async (count: number): Promise<void> => {
  for (let turn = 0; turn < count; turn++) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
};

/** A generator of random numbers that can be repeated (mulberry32). */
export const seeded = (seed: number): ((below: number) => number) => {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
};

/** Real time between two things that somebody else does: the rhythm of a fault, never the wait for an outcome. */
export const elapsed = async (ms: number): Promise<void> => {
  const end = performance.now() + ms;
  await eventually(() => performance.now() >= end, { intervalMs: 1 });
};
