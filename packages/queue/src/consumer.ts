import { failpoint } from "@cortex/failpoints";
import type { Logger } from "@cortex/observability";
import { DelayedError, type Job, type Processor, WaitingError, Worker } from "bullmq";
import { createBreaker } from "./breaker.ts";
import { complainSeldom, connect, reconnectDelay } from "./connection.ts";
import { type JobVerdict, runExecute, type RunDelivery } from "./jobs.ts";
import { troubleOf } from "./trouble.ts";
import { within } from "./within.ts";

/** @param context.signal aborts when this process stops: let go, and hand the job back */
export type RunHandler = (delivery: RunDelivery, context: { signal: AbortSignal }) => Promise<JobVerdict>;

export interface ConsumerOptions {
  redisUrl: string;
  prefix: string;
  concurrency: number;
  workerId: string;
  log: Logger;
  /** A crashed worker's job is taken up by another after `lockMs` plus one `stalledMs` at most. */
  lock?: { lockMs: number; stalledMs: number };
}

export interface ConsumerState {
  /** There is a connection to Redis. */
  connected: boolean;
  /** Runs that are being worked on. */
  running: number;
  /** When the last one was begun (or the consumer, before the first): milliseconds of the monotonic clock. */
  lastBegun: number;
  /** Redis answers and refuses: no runs are taken, for this reason. */
  refused: string | null;
}

export interface Consumer {
  /** Resolves when Redis is there and runs are taken; waits for it without end. */
  ready(): Promise<void>;
  state(): ConsumerState;
  /** Takes no more jobs, aborts the signals of the running ones, waits for their handlers, closes. */
  close(): Promise<void>;
}

const defaultLock = { lockMs: 15_000, stalledMs: 5_000 };

/** A stall is no failure: Postgres counts the attempts. BullMQ's own cap would fail the job without asking us, and its count never falls. */
const maxStalledCount = 50;

/** Acknowledging the last jobs and closing takes a round trip or two. */
const goodbyeMs = 2_000;

/** Between two attempts to fetch or to acknowledge while Redis is away. BullMQ's own 15 s would let runs wait that long after its return. */
const retryMs = 1_000;

/**
 * The processor of a consumer. Whatever the handler throws is logged and acknowledged: a run's fate is decided in Postgres, never by BullMQ's
 * retries.
 *
 * That the queue no longer counts a job as ours (its lock was lost, because Redis was away or this process stood still) is no reason to let go of
 * the run: the lease in Postgres says whose it is, and whoever gets the job meanwhile finds that lease and waits.
 */
const createProcessor =
  (
    handler: RunHandler,
    deps: { log: Logger; running: (abort: AbortController) => () => void },
  ): Processor<RunDelivery, null> =>
  async (job, token) => {
    const abort = new AbortController();
    const ended = deps.running(abort);
    try {
      // Fetched while the worker was closing: not even begun.
      const verdict: JobVerdict = abort.signal.aborted
        ? { kind: "handBack" }
        : await handle(handler, job, abort.signal, deps.log);
      switch (verdict.kind) {
        case "done":
          await failpoint("ack.before");
          return null;
        case "delay":
          await move(job, () => job.moveToDelayed(verdict.untilMs, token), deps.log);
          throw new DelayedError();
        case "handBack":
          await move(job, () => handBack(job, token), deps.log);
          throw new WaitingError();
      }
    } finally {
      ended();
    }
  };

const handBack = async (job: Job<RunDelivery>, token: string | undefined): Promise<void> => {
  try {
    await job.moveToWait(token);
  } catch (error) {
    if (troubleOf(error) !== "not ours") throw error;
    // Somebody else got it and has it rest until our lease is over, as it is now.
    await job.promote();
  }
};

/**
 * Gives a job away. If that fails it stays where it is: somebody else has it already, or its lock ends and the queue gives it to another. It must
 * not hold up a shutdown while Redis is away.
 */
const move = async (job: Job<RunDelivery>, act: () => Promise<unknown>, log: Logger): Promise<void> => {
  try {
    await within(goodbyeMs, "giving a job back", act());
  } catch (error) {
    if (troubleOf(error) !== "not ours") log.warn({ err: error, job_id: job.id }, "a job could not be given back");
  }
};

const handle = async (
  handler: RunHandler,
  job: Job<RunDelivery>,
  signal: AbortSignal,
  log: Logger,
): Promise<JobVerdict> => {
  const payload = runExecute.payload.safeParse(job.data);
  if (!payload.success) {
    // Not even a newer version would be served by keeping it: what Postgres knows is delivered again.
    log.error({ job_id: job.id }, "a job whose payload is no delivery was thrown away");
    return { kind: "done" };
  }
  try {
    return await handler(payload.data, { signal });
  } catch (error) {
    log.error({ err: error, run_id: payload.data.runId }, "a run's handler failed; the sweeper decides");
    return { kind: "done" };
  }
};

/** The side of the queue that takes work: `concurrency` runs at once in this process. */
export const createConsumer = (options: ConsumerOptions, handler: RunHandler): Consumer => {
  const { log, concurrency } = options;
  const { lockMs, stalledMs } = options.lock ?? defaultLock;
  /** A job whose lock was lost may be back in this very process before its first handler has ended. */
  const running = new Set<AbortController>();
  let closing = false;
  let lastBegun = performance.now();
  const idle = Promise.withResolvers<void>();
  const connection = connect(
    options.redisUrl,
    // No command timeout: it would hit the blocking read. A dead peer is noticed by the socket's silence instead.
    { maxRetriesPerRequest: null, socketTimeout: 30_000, retryStrategy: reconnectDelay },
    { log, name: "cortex-consumer" },
  );
  const processor = createProcessor(handler, {
    log,
    running: (abort) => {
      if (closing) abort.abort();
      running.add(abort);
      lastBegun = performance.now();
      return () => {
        running.delete(abort);
        if (closing && running.size === 0) idle.resolve();
      };
    },
  });
  const worker = new Worker<RunDelivery, null>(runExecute.queue, processor, {
    connection,
    prefix: options.prefix,
    name: options.workerId,
    concurrency,
    lockDuration: lockMs,
    stalledInterval: stalledMs,
    maxStalledCount,
    drainDelay: 5,
    runRetryDelay: retryMs,
  });
  const ready = Promise.withResolvers<void>();
  worker.once("ready", () => ready.resolve());
  const complain = complainSeldom(log, "queue");
  const breaker = createBreaker({
    log,
    // Those that run go on.
    pause: () => void worker.pause(true).catch(complain),
    resume: () => void worker.resume(),
    probe: async () => {
      await connection.set(`${options.prefix}:probe`, options.workerId, "PX", 60_000);
    },
  });
  worker.on("error", (error) => {
    switch (troubleOf(error)) {
      case "not ours":
        log.debug({ err: error }, "the queue counts a job of ours as another's");
        return;
      case "refused":
        breaker.open(error);
        return;
      case "other":
        complain(error);
    }
  });

  return {
    ready: () => ready.promise,
    state: () => ({
      connected: connection.status === "ready",
      running: running.size,
      lastBegun,
      refused: breaker.reason(),
    }),
    close: async () => {
      closing = true;
      breaker.close();
      const closed = worker.close();
      for (const abort of running) abort.abort();
      if (running.size === 0) idle.resolve();
      try {
        // The handlers take the time they need; what remains is a goodbye to Redis, if it is there.
        await Promise.race([closed, idle.promise.then(() => within(goodbyeMs, "closing", closed))]);
      } catch (error) {
        log.warn({ err: error }, "the queue was left without a goodbye");
      } finally {
        connection.disconnect();
      }
    },
  };
};
