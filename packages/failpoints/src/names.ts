/**
 * The places at which a test can make a process die, fail or wait. A closed list: a name that no code has, or a place that no name has,
 * is a mistake of the compiler's kind.
 *
 * `x.before_commit` stands before anything is committed, `x.after_commit` between the commit and whatever was to follow: the two sides of a dual
 * write.
 */
export const FAILPOINTS = [
  // A start: the transaction, the hand-over to the queue, the answer.
  "start.before_commit",
  "start.after_commit",
  "start.before_response",
  /** Waiting runs have their places, and the queue does not know. */
  "admit.after_commit",
  /** The queue has the job, and its giver does not know. */
  "deliver.after_add",
  /** A worker holds a run that nothing else of the process knows of. */
  "claim.after_commit",
  // The model: before it is asked, at each piece of its answer, when the answer is whole and nothing of it is stored.
  "model.before",
  "model.mid",
  "model.after",
  // A write of an attempt: answer and claims, or the end of a step.
  "step.before_commit",
  "step.after_commit",
  // A tool call: claimed and not begun, under way, done and not settled, settled.
  "tool.after_claim",
  "tool.mid",
  "tool.after_effect",
  "tool.after_settle",
  // The live log.
  "append.before",
  "append.after",
  /** The epoch is raised in Postgres, and the list not built. */
  "log.rebuild",
  /** Whoever follows a run has subscribed, and has not looked at the log since. */
  "follow.before_read",
  // The end of a run: its transaction, the event that closes the log, the word to the queue.
  "final.before_commit",
  "final.after_commit",
  "final.after_close",
  "ack.before",
  /** The wish to stop is durable, and nobody was told. */
  "stop.after_flag",
  /** A run waits for the model's provider, or for people, and its log does not say so. */
  "park.after_commit",
  /** A decision about a tool call is durable; the run may be in line again, and nobody was told, whoever decided least of all. */
  "decide.after_commit",
  /** A run is let go of, and its job not given back. */
  "handover.after_commit",
  /** Between what a sweep has found and what it does about it. */
  "sweep.mid",
] as const;

export type Failpoint = (typeof FAILPOINTS)[number];

/**
 * What a negative control takes away, to see whether the proof notices. Each is one branch of the product; docs/reliability.md says what
 * "off" means for each.
 */
export const MECHANISMS = [
  "fence",
  "lease",
  "tool_claim",
  "outbox",
  "reconciler",
  "serialised_reader",
  "log_closing",
] as const;

export type Mechanism = (typeof MECHANISMS)[number];
