/** Waits; an abort ends it early, without an error: whoever waits looks at the signal. */
export const pause = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const over = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    signal?.addEventListener("abort", over, { once: true });
  });

/** Waits for a promise, but no longer than that. Says nothing about which of the two it was. */
export const atMost = async (ms: number, promise: Promise<unknown>): Promise<void> => {
  const over = new AbortController();
  await Promise.race([promise, pause(ms, over.signal)]);
  over.abort();
};
