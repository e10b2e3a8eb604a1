import { isTerminalEvent, type UnplacedEvent } from "@cortex/contracts";
import { failpoint, isSwitchedOff } from "@cortex/failpoints";
import type { Redis, Result } from "ioredis";
import { logKeys } from "./keys.ts";
import { appendScript, openScript, readScript } from "./log-scripts.ts";

/** Where a log stands. */
export interface LogState {
  epoch: number;
  /** Entries; the next seq. */
  length: number;
  /** The highest attempt that has written: the fence. */
  attempt: number;
  /** It has its terminal event. */
  closed: boolean;
  /** Of all entries together. */
  bytes: number;
  /** `log.truncated` has been said. */
  truncated: boolean;
}

export interface LogPage extends LogState {
  /** The seq of the first entry: what was asked for, or 0 if the log is of another epoch than was asked for. */
  firstSeq: number;
  /** Raw JSON, in order. */
  entries: string[];
}

export interface OpenLogInput {
  runId: string;
  attempt: number;
  epoch: number;
  /** Everything the log must hold by now, at least one event. */
  events: readonly UnplacedEvent[];
}

export interface AppendInput {
  runId: string;
  attempt: number;
  /** What the writer believes of the log. */
  epoch: number;
  length: number;
  /** None: only the fence is raised. A terminal event must be the last. */
  events: readonly UnplacedEvent[];
}

export interface ReadInput {
  runId: string;
  /** The epoch that `from` counts in; left out: whichever the log has. */
  epoch?: number;
  from: number;
  /** Entries at most; 0 asks for the state alone. */
  limit: number;
  /** Bytes at most, but at least one entry. */
  maxBytes?: number;
}

export type AppendStatus = "appended" | "fenced" | "closed" | "lost";

/** The logs of all runs in one Redis. Every call is one script and one round trip, and fails as Redis fails. */
export interface EventLog {
  /**
   * Creates the log of an epoch, unless one of the same or a later epoch is there: then nothing is written (but a higher attempt raises the
   * fence) and its state comes back. Entry 0 of an epoch above 1 is `resync`; it is put there if the caller has not.
   */
  open(input: OpenLogInput): Promise<LogState & { created: boolean }>;
  /**
   * Compare-and-append. `fenced`: a later attempt has written. `closed`: the log has its end. `lost`: it is not the log the writer knows.
   * Only `appended` has written anything. A failed call may have been applied: read before trying again.
   */
  append(input: AppendInput): Promise<LogState & { status: AppendStatus }>;
  /** State and entries of one moment; null if there is no log. */
  read(input: ReadInput): Promise<LogPage | null>;
}

type StateReply = [epoch: number, length: number, attempt: number, closed: number, bytes: number, truncated: number];

declare module "ioredis" {
  interface RedisCommander<Context> {
    cortexOpenLog(
      list: string,
      meta: string,
      ...args: (string | number | string[])[]
    ): Result<[number, ...StateReply], Context>;
    cortexAppendLog(
      list: string,
      meta: string,
      ...args: (string | number | string[])[]
    ): Result<[number, ...StateReply], Context>;
    cortexReadLog(
      list: string,
      meta: string,
      ...args: (string | number)[]
    ): Result<[...StateReply, number, string[]] | null, Context>;
  }
}

/** How long an ended log is kept: late joiners see deltas for a day, then the durable events, rebuilt. */
const closedTtlSeconds = 24 * 60 * 60;

/** A larger hint would cost every subscribing process more than one shared read of the list. */
const hintBytes = 16 * 1024;

/** More than any log has, and printed by Lua without an exponent. */
const noLimit = 1_000_000_000;

const statuses: readonly AppendStatus[] = ["appended", "fenced", "closed", "lost"];

/** The text of an event at its place. Type and seq first, so that a person who reads a list sees them. */
export const placeEvent = ({ type, ...rest }: UnplacedEvent, seq: number): string =>
  JSON.stringify({ type, seq, ...rest });

const toState = ([epoch, length, attempt, closed, bytes, truncated]: StateReply): LogState => ({
  epoch,
  length,
  attempt,
  closed: closed === 1,
  bytes,
  truncated: truncated === 1,
});

/** Does the last of them close the log? An event behind a terminal one is a mistake of the caller. */
const closes = (events: readonly UnplacedEvent[]): boolean => {
  const end = events.findIndex((event) => isTerminalEvent(event));
  if (end !== -1 && end !== events.length - 1) throw new Error("an event stands behind the terminal one");
  return end !== -1 && !isSwitchedOff("log_closing");
};

const withResync = ({ epoch, events, attempt }: OpenLogInput): readonly UnplacedEvent[] => {
  const [first] = events;
  if (!first) throw new Error("a log begins with at least one event");
  if (epoch === 1 || first.type === "resync") return events;
  return [{ type: "resync", run_id: first.run_id, at: new Date().toISOString(), attempt }, ...events];
};

/**
 * @param redis for commands, not for subscriptions; the scripts are defined on it
 * @param options.closedTtlSeconds how long a log lives after its terminal event; an open one has no limit
 */
export const createEventLog = (redis: Redis, options: { closedTtlSeconds?: number } = {}): EventLog => {
  const ttl = options.closedTtlSeconds ?? closedTtlSeconds;
  redis.defineCommand("cortexOpenLog", { numberOfKeys: 2, lua: openScript });
  redis.defineCommand("cortexAppendLog", { numberOfKeys: 2, lua: appendScript });
  redis.defineCommand("cortexReadLog", { numberOfKeys: 2, lua: readScript });
  const flag = (value: boolean): number => (value ? 1 : 0);

  return {
    open: async (input) => {
      const { list, meta, news } = logKeys(input.runId);
      const events = withResync(input);
      const entries = events.map((event, seq) => placeEvent(event, seq));
      const reply = await redis.cortexOpenLog(
        list,
        meta,
        news,
        input.attempt,
        input.epoch,
        flag(closes(events)),
        ttl,
        entries,
      );
      const [created, ...state] = reply;
      return { ...toState(state), created: created === 1 };
    },

    append: async (input) => {
      const { list, meta, news } = logKeys(input.runId);
      const { attempt, epoch, length, events } = input;
      const entries = events.map((event, index) => placeEvent(event, length + index));
      const truncates = events.some((event) => event.type === "log.truncated");
      const flags = [flag(closes(events)), flag(truncates)];
      await failpoint("append.before");
      const reply = await redis.cortexAppendLog(
        list,
        meta,
        news,
        attempt,
        epoch,
        length,
        ...flags,
        ttl,
        hintBytes,
        entries,
      );
      await failpoint("append.after");
      const [code, ...state] = reply;
      const status = statuses[code - 1];
      if (!status) throw new Error(`the append script answered ${code}`);
      return { ...toState(state), status };
    },

    read: async ({ runId, epoch, from, limit, maxBytes }) => {
      const { list, meta } = logKeys(runId);
      const room = [Math.min(limit, noLimit), maxBytes ?? noLimit];
      const reply = await redis.cortexReadLog(list, meta, epoch ?? "", from, ...room);
      if (!reply) return null;
      const [e, length, attempt, closed, bytes, truncated, firstSeq, entries] = reply;
      return { ...toState([e, length, attempt, closed, bytes, truncated]), firstSeq, entries };
    },
  };
};
