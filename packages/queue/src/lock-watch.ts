/**
 * Watches the queue's lock of each job by our own clock. BullMQ reports a failed renewal only if Redis answered it; a worker that is cut off
 * hears nothing, and must let go of its jobs before their locks end and another worker starts them.
 */
export interface LockWatch {
  taken(jobId: string): void;
  renewed(jobIds: readonly string[]): void;
  released(jobId: string): void;
  close(): void;
}

/** BullMQ renews at half of the lock's time; later than that by a good part is lost, and there is still time to be quiet. */
const lostAfterShare = 0.7;

export const watchLocks = (input: { lockMs: number; onLost: (jobId: string) => void }): LockWatch => {
  const seen = new Map<string, number>();
  const timer = setInterval(() => {
    const now = performance.now();
    for (const [jobId, at] of seen) {
      if (now - at < input.lockMs * lostAfterShare) continue;
      seen.delete(jobId);
      input.onLost(jobId);
    }
  }, input.lockMs / 20);
  return {
    taken: (jobId) => void seen.set(jobId, performance.now()),
    renewed: (jobIds) => {
      for (const jobId of jobIds) if (seen.has(jobId)) seen.set(jobId, performance.now());
    },
    released: (jobId) => void seen.delete(jobId),
    close: () => clearInterval(timer),
  };
};
