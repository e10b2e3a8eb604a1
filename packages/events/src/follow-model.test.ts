import { AppError, type Cursor } from "@cortex/contracts";
import { silentLogger } from "@cortex/observability";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { EventLog } from "./event-log.ts";
import { follow } from "./follow.ts";
import { createHandClock } from "./testing/hand-clock.ts";
import type { ChannelListener, Subscriber } from "./subscriber.ts";
import type { EnsureLog } from "./tail.ts";
import { createTails } from "./tails.ts";

/**
 * Following under every order of things: a Redis of the imagination, in which each request, each answer and each message arrives when the
 * scheduler says so.
 */

type Act =
  | "append"
  | "appendMany"
  | "appendLarge"
  | "lose"
  | "kill"
  | "drop"
  | "repeat"
  | "fail"
  | "tick"
  | "reconnect"
  | "reconnectAll";

/** Something happens, and then so many things arrive. */
interface Op {
  act: Act;
  arrivals: number;
}

const createWorld = (scheduler: fc.Scheduler) => {
  let log: { epoch: number; entries: string[]; closed: boolean } | null = null;
  let epoch = 0;
  let subscription: { listener: ChannelListener; live: boolean; inbox: (() => void)[] } | null = null;
  let dropNext = false;
  let failNext = false;
  let count = 0;

  const passes = (what: string) => scheduler.schedule(Promise.resolve(), what);

  /** What travels on the subscriber's connection arrives in order, if the connection lives. */
  const deliver = (act: () => void): void => {
    const to = subscription;
    if (!to) return;
    to.inbox.push(act);
    void passes("message").then(() => to.inbox.shift()?.());
  };

  const said: string[] = [];
  const publish = (hint: string): void => {
    said.push(hint);
    if (dropNext || !subscription?.live) {
      dropNext = false;
      return;
    }
    const { listener } = subscription;
    deliver(() => listener.message(hint));
  };

  const entry = (of: number, seq: number): string => `"${of}.${seq} ${(count += 1)}"`;

  const rebuild = () => {
    const known = count;
    epoch += 1;
    log = { epoch, entries: [], closed: false };
    for (let seq = 0; seq <= Math.min(known, 3); seq++) log.entries.push(entry(epoch, seq));
    publish(`{"epoch":${epoch},"length":${log.entries.length},"closed":false}`);
    return log;
  };

  const append = (options: { entries: number; large?: boolean; closed?: boolean }): void => {
    const to = log ?? rebuild();
    const first = to.entries.length;
    const added = Array.from({ length: options.entries }, (_, index) => entry(to.epoch, first + index));
    to.entries.push(...added);
    to.closed = options.closed ?? false;
    const head = `{"epoch":${to.epoch},`;
    if (options.large) publish(`${head}"length":${to.entries.length},"closed":${to.closed}}`);
    else publish(`${head}"first_seq":${first},"closed":${to.closed},"entries":[\n${added.join(",\n")}\n]}`);
  };

  const subscribe = async (): Promise<void> => {
    const to = subscription;
    await passes("subscribe");
    if (!to || subscription !== to) return;
    to.live = true;
    deliver(() => to.listener.subscribed());
  };

  const events: Pick<EventLog, "read"> = {
    read: async ({ epoch: asked, from, limit }) => {
      await passes("read");
      if (failNext) {
        failNext = false;
        throw new Error("the connection broke");
      }
      const seen = log && { ...log, entries: [...log.entries] };
      await passes("answer");
      if (!seen) return null;
      const firstSeq = asked !== undefined && asked !== seen.epoch ? 0 : from;
      return {
        epoch: seen.epoch,
        length: seen.entries.length,
        attempt: 1,
        closed: seen.closed,
        bytes: 0,
        truncated: false,
        firstSeq,
        entries: seen.entries.slice(firstSeq, firstSeq + Math.min(limit, 3)),
      };
    },
  };

  const subscriber: Subscriber = {
    listen: (_channel, listener) => {
      const mine = { listener, live: false, inbox: [] };
      subscription = mine;
      void subscribe();
      return () => {
        if (subscription === mine) subscription = null;
      };
    },
    close: () => {},
  };

  /** Whoever finds no log creates it. */
  const ensure: EnsureLog = async () => {
    await passes("ensure");
    return { epoch: (log ?? rebuild()).epoch };
  };

  return {
    events: events as EventLog,
    subscriber,
    ensure,
    append,
    list: () => log?.entries ?? [],
    lose: () => {
      log = null;
    },
    drop: () => {
      dropNext = true;
    },
    /** An old hint comes once more, of whatever epoch. */
    repeat: (which: number) => {
      const hint = said[which % Math.max(1, said.length)];
      if (hint !== undefined) publish(hint);
    },
    fail: () => {
      failNext = true;
    },
    kill: () => {
      if (!subscription) return;
      subscription = { listener: subscription.listener, live: false, inbox: [] };
      void subscribe();
    },
  };
};

type World = ReturnType<typeof createWorld>;

/** A client that comes back with its cursor until it has the end. */
const createClient = (world: World, tails: ReturnType<typeof createTails>) => {
  const received: { epoch: number; seq: number; text: string }[] = [];
  let cursor: Cursor | null = null;
  let connection = new AbortController();
  let done = false;

  const run = async (): Promise<void> => {
    while (!done) {
      connection = new AbortController();
      const { signal } = connection;
      try {
        for await (const frame of follow(
          { tails, ensure: world.ensure },
          { runId: "run", after: cursor, end: null, signal },
        )) {
          for (const [index, text] of frame.entries.entries()) {
            cursor = { epoch: frame.epoch, seq: frame.first_seq + index };
            received.push({ ...cursor, text });
          }
        }
        done = !signal.aborted;
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== "unavailable") throw error;
      }
    }
  };

  return { received, isDone: () => done, reconnect: () => connection.abort(), finished: run() };
};

const play = async (scheduler: fc.Scheduler, followers: number, ops: readonly Op[], ticks: number): Promise<void> => {
  const world = createWorld(scheduler);
  const { clock, advance } = createHandClock();
  const tails = createTails({ log: world.events, subscriber: world.subscriber, logger: silentLogger(), clock });
  const clients = Array.from({ length: followers }, () => createClient(world, tails));
  let repeated = 0;
  const acts: Record<Act, () => void> = {
    append: () => world.append({ entries: 1 }),
    appendMany: () => world.append({ entries: 5 }),
    appendLarge: () => world.append({ entries: 2, large: true }),
    lose: world.lose,
    kill: world.kill,
    drop: world.drop,
    repeat: () => world.repeat(repeated++),
    fail: world.fail,
    tick: () => advance(1_000),
    reconnect: () => clients[0]?.reconnect(),
    reconnectAll: () => {
      for (const client of clients) client.reconnect();
    },
  };
  for (const { act, arrivals } of ops) {
    acts[act]();
    // Whatever this sets off in the process itself happens at once.
    for (let microtask = 0; microtask < 30; microtask++) await Promise.resolve();
    await scheduler.waitNext(Math.min(arrivals, scheduler.count()));
  }
  world.append({ entries: 1, closed: true });
  await scheduler.waitIdle();
  for (let tick = 0; tick < ticks && !clients.every((client) => client.isDone()); tick++) {
    advance(1_000);
    await scheduler.waitIdle();
  }
  expect(clients.map((client) => client.isDone())).toEqual(clients.map(() => true));
  for (const { received, finished } of clients) {
    await finished;
    const epochs = Map.groupBy(received, (entry) => entry.epoch);
    for (const entries of epochs.values())
      expect(entries.map((entry) => entry.seq)).toEqual(entries.map((_, index) => index));
    expect([...epochs.keys()]).toEqual([...epochs.keys()].toSorted((left, right) => left - right));
    expect([...epochs.values()].at(-1)?.map((entry) => entry.text)).toEqual(world.list());
  }
  expect(tails.size()).toBe(0);
};

const followers = fc.integer({ min: 1, max: 3 });
const opsOf = (...acts: [Act, ...Act[]]) =>
  fc.array(fc.record({ act: fc.constantFrom(...acts), arrivals: fc.nat(8) }), { maxLength: 25 });

test("a connection that breaks and comes back needs no poll, and everybody gets everything once and in order", async () => {
  const ops = opsOf("append", "appendMany", "appendLarge", "kill", "repeat", "reconnect", "reconnectAll");
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), followers, ops, (scheduler, count, list) => play(scheduler, count, list, 0)),
    { numRuns: 2_000 },
  );
});

test("whatever is lost, broken or late, the poll makes it good", async () => {
  const ops = opsOf(
    "append",
    "appendMany",
    "appendLarge",
    "lose",
    "kill",
    "drop",
    "repeat",
    "fail",
    "tick",
    "reconnect",
    "reconnectAll",
  );
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), followers, ops, (scheduler, count, list) => play(scheduler, count, list, 8)),
    { numRuns: 2_000 },
  );
});
