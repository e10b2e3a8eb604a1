export type Closers = {
  /** Registers how to close what was just opened. */
  add: (close: () => unknown) => void;
  /** Closes last in, first out, each once. A failure does not keep the others from closing; the first one is thrown at the end. */
  closeAll: () => Promise<void>;
};

/** Whoever opens, closes: what a start has opened so far. */
export function createClosers(): Closers {
  const closers: (() => unknown)[] = [];
  return {
    add: (close) => void closers.push(close),
    closeAll: async () => {
      const failures: unknown[] = [];
      for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
        try {
          await close();
        } catch (error) {
          failures.push(error);
        }
      }
      if (failures.length > 0) throw failures[0];
    },
  };
}

/** Like Promise.all, but a failure waits until the others have settled: so nothing is half open when closing begins. */
export async function allSettledOrThrow<Parts extends readonly unknown[]>(parts: {
  [Index in keyof Parts]: Promise<Parts[Index]>;
}): Promise<Parts> {
  await Promise.allSettled(parts);
  return Promise.all(parts);
}
