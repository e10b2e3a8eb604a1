/** Time as a dependency, so that a test can decide what happens first. */
export interface Clock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** Acts once after `ms`; returns how to call it off. */
  after(ms: number, act: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after: (ms, act) => {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};
