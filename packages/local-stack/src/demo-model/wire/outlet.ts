import type { ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";

/** The far end of one answer: whether somebody still reads, and when there is room for more. */
export interface Outlet {
  /** Aborts when the connection is gone, whoever ended it. */
  signal: AbortSignal;
  /** Writes and waits for room, and lets other answers have their turn. */
  write(text: string): Promise<void>;
  /** Resolves when the clock (`performance.now()`) has reached `time`, or when the connection is gone. */
  waitUntil(time: number): Promise<void>;
}

export function createOutlet(response: ServerResponse): Outlet {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const { signal } = gone;
  return {
    signal,
    async write(text) {
      if (signal.aborted) return;
      if (response.write(text)) await nextTurn();
      else await drained(response, signal);
    },
    async waitUntil(time) {
      const left = time - performance.now();
      if (left > 0 && !signal.aborted) await sleep(left, signal);
    },
  };
}

/** A reader that stops reading must not make this process collect its answer in memory. */
function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      response.off("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    response.once("drain", done);
    signal.addEventListener("abort", done);
  });
}

/** Resolves when the connection is gone: the client has left, or the server closes. */
export function gone(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}
