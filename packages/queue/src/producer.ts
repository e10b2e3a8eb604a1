import { failpoint } from "@cortex/failpoints";
import type { Logger } from "@cortex/observability";
import { Queue } from "bullmq";
import { complainSeldom, connect, reconnectDelay } from "./connection.ts";
import { jobId, runExecute, type RunDelivery } from "./jobs.ts";
import { within } from "./within.ts";

export interface Producer {
  /**
   * Hands a delivery to the fleet. Returns at once and never throws: the outbox in Postgres is the truth, so what Redis does not take is
   * delivered again by the sweeper.
   */
  deliver(delivery: RunDelivery): void;
  /**
   * `waiting`: for a worker or for its time; `active`: a worker has it, or had it when it died; `absent`: done with, or never there.
   * Rejects if Redis does not answer.
   */
  jobState(delivery: RunDelivery): Promise<"waiting" | "active" | "absent">;
  /** How many deliveries wait for a worker; none while somebody has paused the queue. Rejects if Redis does not answer. */
  waiting(): Promise<number>;
  close(): Promise<void>;
}

/** Far above a healthy answer (below a millisecond), far below what a person notices. */
const commandTimeoutMs = 2_000;

/** Enough to look back at in the dashboard, little enough to forget about. */
const kept = { removeOnComplete: { count: 1_000, age: 3_600 }, removeOnFail: { count: 1_000, age: 7 * 24 * 3_600 } };

const waitingStates = new Set(["waiting", "delayed", "prioritized", "waiting-children"]);

/** The side of the queue that gives work. Fails fast while Redis is away: it keeps nothing back for later. */
export const createProducer = (input: { redisUrl: string; prefix: string; log: Logger }): Producer => {
  const { log } = input;
  const connection = connect(
    input.redisUrl,
    {
      enableOfflineQueue: false,
      maxRetriesPerRequest: 1,
      commandTimeout: commandTimeoutMs,
      retryStrategy: reconnectDelay,
    },
    { log, name: "cortex-producer" },
  );
  const queue = new Queue<RunDelivery>(runExecute.queue, {
    connection,
    prefix: input.prefix,
    defaultJobOptions: { attempts: 1, ...kept },
    streams: { events: { maxLen: 1_000 } },
  });
  const complain = complainSeldom(log, "queue");
  queue.on("error", complain);
  const waitingNow = async (): Promise<number> => ((await queue.isPaused()) ? 0 : queue.getWaitingCount());
  const underWay = new Set<Promise<unknown>>();

  return {
    deliver: (delivery) => {
      const adding = queue
        .add("run", delivery, { jobId: jobId(delivery) })
        .then(() => failpoint("deliver.after_add"))
        .catch(complain);
      underWay.add(adding);
      void adding.finally(() => underWay.delete(adding));
    },
    jobState: async (delivery) => {
      const state = await within(commandTimeoutMs, "job state", queue.getJobState(jobId(delivery)));
      if (state === "active") return "active";
      return waitingStates.has(state) ? "waiting" : "absent";
    },
    waiting: () => within(commandTimeoutMs, "jobs that wait", waitingNow()),
    close: async () => {
      try {
        await within(
          commandTimeoutMs,
          "closing",
          Promise.all(underWay).then(() => queue.close()),
        );
      } catch (error) {
        log.warn({ err: error }, "the queue was left without a goodbye");
      } finally {
        connection.disconnect();
      }
    },
  };
};
