/**
 * The words of this room.
 *
 * - run: one execution of an agent on a thread, from the start request to exactly one terminal status.
 * - admission: a waiting run gets a place in the fleet; only admitted runs are in the queue.
 * - delivery: one handing-over of a run to the queue. Its number is part of the job id, so no job id is used twice.
 * - claim: a worker takes a delivered run; the attempt number grows by one.
 * - attempt: one try of a run by one worker. The attempt number is the fence: a write of a lower one changes nothing.
 * - lease: how long a claim is good for without a heartbeat.
 * - wait: the model's provider lets nobody through; the run holds no worker until its time has come, then it is queued again.
 * - durable events: what a run's live log must contain, derived from Postgres (durable-events.ts).
 *
 * queued → running → completed | failed | stopped, and running → waiting → queued. Terminal statuses are written once, together with a raised
 * attempt.
 */
import type { DB } from "@cortex/db";
import type { Selectable } from "kysely";

export type RunRow = Selectable<DB["agent_runs"]>;

/** One handing-over of a run to the queue. */
export interface Delivery {
  runId: string;
  delivery: number;
}

/**
 * Hands a delivery to the queue. Returns at once and never throws: what the queue does not get, the sweeper finds in the outbox.
 */
export type Deliver = (delivery: Delivery) => void;

/** The write of an attempt that is no longer the run's: another worker has it, or the run has ended. */
export class FencedError extends Error {
  override readonly name = "FencedError";
  constructor(runId: string, attempt: number) {
    super(`attempt ${attempt} of run ${runId} is superseded`);
  }
}

/** Why a worker lets go of a run before its end. */
export type LeaseEndReason = "stopped" | "lost" | "shutdown";

/** The `reason` of a lease's abort signal. */
export class LeaseEnded extends Error {
  override readonly name = "LeaseEnded";
  readonly reason: LeaseEndReason;
  constructor(reason: LeaseEndReason) {
    super(`lease ended: ${reason}`);
    this.reason = reason;
  }
}
