import { isTerminalEvent, type UnplacedEvent } from "@cortex/contracts";
import type { LogPort, LogState } from "../ensure-log.ts";
import { FencedError } from "../run.ts";
import type { LogSink } from "../log-sink.ts";

/** A live log in memory with the rules of the real one, for tests of this room alone; the rooms meet in apps/worker's tests. */
export const createMemoryLog = (): LogPort & {
  entries(runId: string): UnplacedEvent[];
  flush(): void;
  /** Forgets the last entry, as a Redis does that is restored from an older state. */
  forgetLast(runId: string): void;
  sink(runId: string, state: LogState): LogSink;
} => {
  const logs = new Map<string, { epoch: number; attempt: number; entries: string[] }>();
  const stateOf = (log: { epoch: number; attempt: number; entries: string[] }): LogState => {
    const last = log.entries.at(-1);
    return {
      epoch: log.epoch,
      length: log.entries.length,
      attempt: log.attempt,
      closed: last !== undefined && isTerminalEvent(JSON.parse(last) as UnplacedEvent),
    };
  };
  const place = (events: readonly UnplacedEvent[], from: number) =>
    events.map((event, index) => JSON.stringify({ ...event, seq: from + index }));

  const log: LogPort = {
    open: async ({ runId, attempt, epoch, events }) => {
      const there = logs.get(runId);
      if (there && there.epoch >= epoch) {
        there.attempt = Math.max(there.attempt, attempt);
        return { ...stateOf(there), created: false };
      }
      const made = { epoch, attempt, entries: place(events, 0) };
      logs.set(runId, made);
      return { ...stateOf(made), created: true };
    },
    read: async ({ runId, from, limit }) => {
      const there = logs.get(runId);
      return there ? { ...stateOf(there), entries: there.entries.slice(from, from + limit) } : null;
    },
    append: async ({ runId, attempt, epoch, length, events }) => {
      const there = logs.get(runId);
      if (!there) return { epoch, length, attempt, closed: false, status: "lost" };
      const state = stateOf(there);
      if (attempt < there.attempt) return { ...state, status: "fenced" };
      if (state.closed) return { ...state, status: "closed" };
      if (epoch !== there.epoch || length !== there.entries.length) return { ...state, status: "lost" };
      there.attempt = attempt;
      there.entries.push(...place(events, length));
      return { ...stateOf(there), status: "appended" };
    },
  };

  return {
    ...log,
    entries: (runId) => (logs.get(runId)?.entries ?? []).map((entry) => JSON.parse(entry) as UnplacedEvent),
    flush: () => logs.clear(),
    forgetLast: (runId) => void logs.get(runId)?.entries.pop(),
    sink: (runId, opened) => {
      let { epoch, length, attempt } = opened;
      const append = async (events: readonly UnplacedEvent[]) => {
        const reply = await log.append({ runId, attempt, epoch, length, events });
        if (reply.status !== "appended") throw new FencedError(runId, attempt);
        ({ epoch, length } = reply);
      };
      return {
        preview: (event) => append([event]),
        durable: append,
        isBehind: () => false,
        end: async (events, raised) => {
          attempt = raised;
          await append(events);
          return `${epoch}.${length - 1}`;
        },
      };
    },
  };
};
