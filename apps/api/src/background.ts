import type { Logger } from "@cortex/observability";

/** Work that an answer does not wait for, and that the end of the process does. */
export interface Background {
  /** A failure is logged; what must happen all the same is found by a sweeper. */
  add(what: string, work: Promise<unknown>): void;
  settled(): Promise<void>;
}

export const createBackground = (log: Logger): Background => {
  const underWay = new Set<Promise<unknown>>();
  return {
    add: (what, work) => {
      const heard = work
        .catch((error: unknown) => log.warn({ err: error, what }, "work in the background failed"))
        .finally(() => underWay.delete(heard));
      underWay.add(heard);
    },
    settled: async () => {
      await Promise.all(underWay);
    },
  };
};
