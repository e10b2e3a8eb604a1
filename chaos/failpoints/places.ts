import type { Failpoint } from "@cortex/failpoints";

/** What must happen so that a process passes a failpoint: nothing but the load, or something that is done to the fleet. */
export type Provocation =
  | "none"
  /** It is told to go while it holds a run. */
  | "told to go"
  /** Somebody else dies with a run. */
  | "an orphan"
  /** The log of a run that it holds is gone. */
  | "a lost log";

export interface Place {
  process: "api" | "worker";
  provocation: Provocation;
  /** A seed chooses the hit at which the process dies, from 1 to this: as far as a process of this load comes in a second or two. */
  upTo: number;
}

const ofApi = (upTo: number): Place => ({ process: "api", provocation: "none", upTo });
const ofWorker = (upTo: number, provocation: Provocation = "none"): Place => ({ process: "worker", provocation, upTo });

/**
 * Every failpoint, so that none is forgotten, in the order in which they are struck: who waits for a place in the fleet must do so before dead
 * workers, which count for ten more seconds, make it look large.
 */
export const places: Readonly<Record<Failpoint, Place>> = {
  "admit.after_commit": ofWorker(1),
  "sweep.mid": ofWorker(1, "an orphan"),
  "handover.after_commit": ofWorker(1, "told to go"),
  "log.rebuild": ofWorker(1, "a lost log"),
  "claim.after_commit": ofWorker(3),
  "model.before": ofWorker(6),
  "model.mid": ofWorker(20),
  "model.after": ofWorker(6),
  "step.before_commit": ofWorker(6),
  "step.after_commit": ofWorker(6),
  "tool.after_claim": ofWorker(4),
  "tool.mid": ofWorker(2),
  "tool.after_effect": ofWorker(4),
  "tool.after_settle": ofWorker(4),
  "append.before": ofWorker(30),
  "append.after": ofWorker(30),
  "final.before_commit": ofWorker(3),
  "final.after_commit": ofWorker(3),
  "final.after_close": ofWorker(3),
  "ack.before": ofWorker(3),
  "park.after_commit": ofWorker(1),
  "start.before_commit": ofApi(3),
  "start.after_commit": ofApi(3),
  "start.before_response": ofApi(3),
  "deliver.after_add": ofApi(3),
  "stop.after_flag": ofApi(1),
  "decide.after_commit": ofApi(2),
  "follow.before_read": ofApi(5),
};
