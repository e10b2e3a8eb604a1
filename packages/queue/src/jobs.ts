import { z } from "zod";

/** The catalogue of jobs: each queue, its name in Redis and what its jobs carry. Ids only: job data is clear text in Redis. */
export const runExecute = {
  queue: "run-execute",
  payload: z.object({ runId: z.uuid(), delivery: z.int().positive() }),
} as const;

/** One handing-over of a run to the fleet. */
export type RunDelivery = z.infer<typeof runExecute.payload>;

/**
 * The id of a delivery's job. Never used twice: BullMQ ignores an `add` under an id that it still knows, in whatever state, and would so lose a
 * redelivery. (It forbids ":" in ids.)
 */
export const jobId = (delivery: RunDelivery): string => `run-${delivery.runId}-${delivery.delivery}`;

/** What becomes of a job after its handler: done with, at rest until a time, or back to the queue for another worker. */
export type JobVerdict = { kind: "done" } | { kind: "delay"; untilMs: number } | { kind: "handBack" };
