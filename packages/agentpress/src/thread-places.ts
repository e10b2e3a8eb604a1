/** Does something as soon as there is a place for it; who is aborted leaves the line. Rejects with the signal's reason, or with what `act` rejects with. */
export type InPlace = <Value>(signal: AbortSignal, act: () => Promise<Value>) => Promise<Value>;

/**
 * A few places for many. Threads take processors from the runs of the whole process, and memory: what their callers allow each is nothing that
 * hundreds of calls may have at once.
 */
export const createPlaces = (most: number): InPlace => {
  let free = most;
  const waiting: (() => void)[] = [];
  const enter = async (signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted();
    if (free > 0) {
      free -= 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const go = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        waiting.splice(waiting.indexOf(go), 1);
        reject(signal.reason as Error);
      };
      waiting.push(go);
      signal.addEventListener("abort", leave, { once: true });
    });
  };
  return async (signal, act) => {
    await enter(signal);
    try {
      return await act();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free += 1;
    }
  };
};
