/**
 * Every interval and bound of a run's life in one place, with the inequality between them. Tests pass shorter ones; the
 * inequalities must hold for those too.
 */
export interface RunSettings {
  /** How long a claim is good for without a heartbeat. lease > 2 × heartbeat, so that one late beat loses nothing. */
  leaseMs: number;
  /** Heartbeat of a worker for all its runs. Also the longest time until it sees a stop flag if pub/sub is cut. */
  heartbeatMs: number;
  /** A worker that could not renew for this share of the lease gives its runs up: it must be silent before the lease ends. */
  giveUpAfterMs: number;
  /** How often a sweeper looks. */
  sweepMs: number;
  /** An admitted run that nobody claimed for this long is looked for in the queue. > the queue's usual delay. */
  unclaimedMs: number;
  /** A run whose lease ended this long ago is delivered again. > the time in which the queue itself brings a stalled job back. */
  orphanGraceMs: number;
  /** A terminal run whose log has no end after this long gets one, and a waiting one whose log does not say so. > heartbeatMs, which notes both. */
  unclosedLogMs: number;
  /** Attempts without a committed step before a run is given up as `worker_lost`. A hand-over does not count. */
  maxAttemptsWithoutProgress: number;
  /** The longest life of a run, from its first claim. */
  maxRunMs: number;
  /** How long one step may wait for the model's provider, all its waits together. < maxRunMs, or the deadline is all that ends them. */
  maxWaitMs: number;
  /** How long a run may wait for a person. Not part of its life: its deadline moves by as much as it has waited. */
  maxApprovalMs: number;
}

export const defaultRunSettings: RunSettings = {
  leaseMs: 15_000,
  heartbeatMs: 1_000,
  giveUpAfterMs: 10_000,
  sweepMs: 2_000,
  unclaimedMs: 5_000,
  orphanGraceMs: 2_000,
  unclosedLogMs: 5_000,
  maxAttemptsWithoutProgress: 5,
  maxRunMs: 2 * 60 * 60 * 1_000,
  maxWaitMs: 30 * 60 * 1_000,
  maxApprovalMs: 7 * 24 * 60 * 60 * 1_000,
};
