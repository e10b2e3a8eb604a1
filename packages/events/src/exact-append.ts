import { isPreviewEvent, type RunEvent, type UnplacedEvent } from "@cortex/contracts";
import { type EventLog, type LogState, placeEvent } from "./event-log.ts";
import { FencedError } from "./fenced-error.ts";

/** Where a log must stand for the next append to be right. */
export interface LogPosition {
  epoch: number;
  length: number;
}

/**
 * Brings a lost log back: raises the epoch in Postgres, builds the list from what Postgres holds, and says where it stands now. Somebody
 * else may have done so already; then it only says where. Null: there is no such run any more.
 */
export type RecoverLog = (seen: LogPosition) => Promise<(LogPosition & { attempt: number; closed: boolean }) | null>;

/** How full a log is. */
export type Fill = Pick<LogState, "bytes" | "truncated">;

export interface ExactAppender {
  /**
   * Appends all of the events or none.
   *
   * A call that failed may have been applied, and its answer lost. The next call finds out before it writes: given the very same array again
   * it returns without writing a second time.
   * @returns `lost`: nothing was written, `recover` must come first
   * @throws FencedError; or what Redis throws, then the outcome is open
   */
  append(events: readonly UnplacedEvent[]): Promise<"appended" | "lost">;
  /** Brings the log back and goes on at its end. Returns the identities of the durable events that it holds. */
  recover(): Promise<Set<string>>;
  position(): LogPosition;
  /** How full the log is, as the last answer said; null before the first. */
  fill(): Fill | null;
  /** The same, asked of Redis. */
  readFill(): Promise<Fill>;
  /** From now on in the name of this attempt. */
  raise(attempt: number): void;
}

/** One read of a recovered log; large, because a writer waits for it. */
const pageSize = 500;

/** Appends exactly once over a connection that may lose an answer, or resend what it has no answer for (as ioredis does). */
export const createExactAppender = (
  deps: { log: EventLog; recover: RecoverLog; identity: (event: UnplacedEvent) => string },
  input: { runId: string; attempt: number } & LogPosition,
): ExactAppender => {
  const { log } = deps;
  const { runId } = input;
  let { attempt, epoch, length } = input;
  let fill: Fill | null = null;
  /** The events of the last call, if its outcome is open. */
  let open: readonly UnplacedEvent[] | null = null;

  /**
   * Are these events in the log, where they were to go? Attempt and time stand in the text and an append is atomic, so the first entry
   * answers for all.
   */
  const landed = async (events: readonly UnplacedEvent[]): Promise<boolean> => {
    const [first] = events;
    const page = await log.read({ runId, epoch, from: length, limit: 1 });
    if (!page || !first) return false;
    if (page.epoch === epoch && page.firstSeq === length && page.entries[0] === placeEvent(first, length)) {
      length += events.length;
      fill = page;
      return true;
    }
    if (page.attempt > attempt) throw new FencedError(runId, attempt, "superseded");
    if (page.closed) throw new FencedError(runId, attempt, "closed");
    return false;
  };

  const identitiesIn = async (state: LogPosition): Promise<Set<string>> => {
    const identities = new Set<string>();
    for (let from = 0; from < state.length;) {
      const page = await log.read({ runId, epoch: state.epoch, from, limit: pageSize });
      if (!page || page.epoch !== state.epoch || page.entries.length === 0)
        throw new Error("the log was lost again while it was read");
      for (const entry of page.entries) {
        const event = JSON.parse(entry) as RunEvent;
        if (!isPreviewEvent(event)) identities.add(deps.identity(event));
      }
      from += page.entries.length;
    }
    return identities;
  };

  return {
    append: async (events) => {
      if (open) {
        const before = open;
        const done = await landed(before);
        open = null;
        if (done && before === events) return "appended";
      }
      if (events.length === 0) return "appended";
      open = events;
      const reply = await log.append({ runId, attempt, epoch, length, events });
      switch (reply.status) {
        case "appended":
          open = null;
          length = reply.length;
          fill = reply;
          return "appended";
        case "fenced":
          open = null;
          throw new FencedError(runId, attempt, "superseded");
        case "closed":
        case "lost": {
          // The connection may have sent it twice: then the log is as it is because of the first time.
          const done = await landed(events);
          open = null;
          return done ? "appended" : "lost";
        }
      }
    },

    recover: async () => {
      const state = await deps.recover({ epoch, length });
      if (!state || state.attempt > attempt) throw new FencedError(runId, attempt, "superseded");
      if (state.closed) throw new FencedError(runId, attempt, "closed");
      const identities = await identitiesIn(state);
      ({ epoch, length } = state);
      fill = null;
      open = null;
      return identities;
    },

    position: () => ({ epoch, length }),
    fill: () => fill,
    readFill: async () => {
      fill = await log.read({ runId, epoch, from: length, limit: 0 });
      return fill ?? { bytes: 0, truncated: false };
    },
    raise: (next) => {
      attempt = Math.max(attempt, next);
    },
  };
};
