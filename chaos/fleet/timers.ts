/** The times of a worker that decide how soon a lost run is taken up. Milliseconds. */
export interface Timers {
  leaseMs: number;
  heartbeatMs: number;
  sweepMs: number;
  lockMs: number;
  stalledMs: number;
}

/** Of the bar "killed every two seconds": an orphan is back after lease and lock (5 s) and one look (2 s). */
export const quickTimers: Timers = {
  leaseMs: 5_000,
  heartbeatMs: 500,
  sweepMs: 1_000,
  lockMs: 5_000,
  stalledMs: 2_000,
};

export const timersEnv = (timers: Timers): Record<string, string> => ({
  RUN_LEASE_MS: String(timers.leaseMs),
  RUN_HEARTBEAT_MS: String(timers.heartbeatMs),
  RUN_SWEEP_MS: String(timers.sweepMs),
  QUEUE_LOCK_MS: String(timers.lockMs),
  QUEUE_STALLED_MS: String(timers.stalledMs),
});
