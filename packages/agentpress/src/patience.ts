/**
 * What ignores an abort, a tool or a model, is left behind after this time. A stop is promised within 1 s of the wish: this + hearing of it
 * (a message, milliseconds) + the last transaction < 1 s; with the channel cut, + one heartbeat (1 s) < 3 s.
 */
const abandonAfterMs = 800;
/**
 * What is waited for only after that (the end of a model whose last event was held by somebody who waited for a database) may still react:
 * only one that does not is said to be left behind. Small beside `abandonAfterMs`.
 */
const lastChanceMs = 50;

/** Waiting that ends some time after an abort, whoever ignores it. */
export interface Patience {
  /** What the promise resolves to, or null once patience is at its end. One at a time. */
  wait<Value>(promise: Promise<Value>): Promise<Value | null>;
  /** Something did not react in time. */
  leftBehind(): boolean;
  dispose(): void;
}

/** @param signal once it is aborted, patience lasts for `abandonAfterMs` */
export const startPatience = (signal: AbortSignal): Patience => {
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  let leftBehind = false;
  // One listener for all waits: a race with a promise that lives as long as the run would keep every one of them.
  let giveUp: (() => void) | null = null;
  const onAbort = () => {
    timer = setTimeout(() => {
      over = true;
      giveUp?.();
    }, abandonAfterMs);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return {
    wait: (promise) =>
      new Promise((resolve, reject) => {
        let settled = false;
        const mine = () => {
          if (settled) return;
          leftBehind = true;
          resolve(null);
        };
        giveUp = mine;
        if (over) timer = setTimeout(mine, lastChanceMs);
        promise.then(
          (value) => {
            settled = true;
            resolve(value);
          },
          (error: unknown) => {
            settled = true;
            reject(error);
          },
        );
      }),
    leftBehind: () => leftBehind,
    dispose: () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    },
  };
};

/** What a source yields, until it ends or patience does. One that is left behind in the middle is told so and not waited for. */
export async function* whilePatient<Item>(
  source: AsyncIterable<Item>,
  patience: Patience,
): AsyncGenerator<Item, void, void> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await patience.wait(iterator.next());
      if (next === null || next.done === true) return;
      yield next.value;
    }
  } finally {
    await patience.wait(Promise.resolve(iterator.return?.()));
  }
}
