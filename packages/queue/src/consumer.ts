import { failpoint } from "@cortex/failpoints";
import type { Logger } from "@cortex/observability";
import { DelayedError, type Job, type Processor, WaitingError, Worker } from "bullmq";
import { complainSeldom, connect, reconnectDelay } from "./connection.ts";
import { type JobVerdict, runExecute, type RunDelivery } from "./jobs.ts";
import { watchLocks } from "./lock-watch.ts";
import { within } from "./within.ts";

/** Why a job's signal aborts: the process shuts down, or the queue no longer counts the job as ours. */
export type JobAbortReason = "shutdown" | "lost";

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

export interface Consumer {
  /** Takes no more jobs, aborts the signals of the running ones with `shutdown`, waits for their handlers, closes. */
  close(): Promise<void>;
}

const defaultLock = { lockMs: 15_000, stalledMs: 5_000 };

/** A stall is no failure: Postgres counts the attempts. BullMQ's own cap would fail the job without asking us, and its count never falls. */
const maxStalledCount = 50;

/** Acknowledging the last jobs and closing takes a round trip or two. */
const goodbyeMs = 2_000;

/**
 * The processor of a consumer. It declares three parameters because BullMQ passes the signal only then. Whatever the handler throws is logged
 * and acknowledged: a run's fate is decided in Postgres, never by BullMQ's retries.
 */
export const createProcessor =
  (
    handler: RunHandler,
    deps: { log: Logger; running: (job: Job, abort: AbortController) => () => void },
  ): Processor<RunDelivery, null> =>
  async (job, token, signal) => {
    const abort = new AbortController();
    const lost = () => abort.abort("lost" satisfies JobAbortReason);
    signal?.addEventListener("abort", lost, { once: true });
    const ended = deps.running(job, abort);
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
          await job.moveToDelayed(verdict.untilMs, token);
          throw new DelayedError();
        case "handBack":
          await job.moveToWait(token);
          throw new WaitingError();
      }
    } finally {
      signal?.removeEventListener("abort", lost);
      ended();
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
  const running = new Map<string, AbortController>();
  let closing = false;
  const idle = Promise.withResolvers<void>();
  const locks = watchLocks({ lockMs, onLost: (id) => running.get(id)?.abort("lost" satisfies JobAbortReason) });
  const connection = connect(
    options.redisUrl,
    // No command timeout: it would hit the blocking read. A dead peer is noticed by the socket's silence instead.
    { maxRetriesPerRequest: null, socketTimeout: 30_000, retryStrategy: reconnectDelay },
    { log, name: "cortex-consumer" },
  );
  const processor = createProcessor(handler, {
    log,
    running: (job, abort) => {
      const id = job.id ?? "";
      if (closing) abort.abort("shutdown" satisfies JobAbortReason);
      running.set(id, abort);
      locks.taken(id);
      return () => {
        // A job whose lock was lost may be back in this very process before its first handler has let go.
        if (running.get(id) !== abort) return;
        running.delete(id);
        locks.released(id);
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
  });
  worker.on("error", complainSeldom(log, "queue"));
  worker.on("locksRenewed", ({ jobIds }) => locks.renewed(jobIds));
  worker.on("lockRenewalFailed", (jobIds) => {
    for (const id of jobIds) running.get(id)?.abort("lost" satisfies JobAbortReason);
  });

  return {
    close: async () => {
      closing = true;
      const closed = worker.close();
      for (const abort of running.values()) abort.abort("shutdown" satisfies JobAbortReason);
      if (running.size === 0) idle.resolve();
      try {
        // The handlers take the time they need; what remains is a goodbye to Redis, if it is there.
        await Promise.race([closed, idle.promise.then(() => within(goodbyeMs, "closing", closed))]);
      } catch (error) {
        log.warn({ err: error }, "the queue was left without a goodbye");
      } finally {
        locks.close();
        connection.disconnect();
      }
    },
  };
};
