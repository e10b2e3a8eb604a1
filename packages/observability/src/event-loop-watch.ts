import { Worker } from "node:worker_threads";
import type { Logger } from "./logger.ts";

/** What the watching thread is told. */
export interface EventLoopWatch {
  /** One number, counted up by the event loop. */
  beats: Int32Array<SharedArrayBuffer>;
  beatMs: number;
  /** So many looks without a beat in between, and the process ends. */
  looks: number;
}

/** Said from here on: shorter standstills are everyday life on a busy machine. */
const lateMs = 1_000;

/**
 * Ends a process whose event loop stands still: it answers nobody, not even a signal, so a thread beside it has to. It counts its own looks and
 * not time, so that a process that was stopped as a whole (SIGSTOP, a suspended machine) is not taken for a blocked one. A shorter
 * standstill is a line in the log when it is over.
 * @param input.limitMs for how long, rounded up to whole beats
 */
export const watchEventLoop = (
  deps: { log: Logger },
  input: { limitMs: number; beatMs?: number },
): { close(): Promise<void> } => {
  const beatMs = input.beatMs ?? 1_000;
  const beats = new Int32Array(new SharedArrayBuffer(4));
  let last = performance.now();
  const timer = setInterval(() => {
    Atomics.add(beats, 0, 1);
    const now = performance.now();
    const late = now - last - beatMs;
    last = now;
    if (late > lateMs) deps.log.warn({ late_ms: Math.round(late) }, "this process stood still");
  }, beatMs);
  timer.unref();
  const workerData: EventLoopWatch = { beats, beatMs, looks: Math.ceil(input.limitMs / beatMs) };
  const thread = new Worker(new URL("./event-loop-watch-thread.ts", import.meta.url), { workerData });
  thread.unref();
  thread.on("error", (error) => deps.log.error({ err: error }, "nobody watches the event loop"));
  return {
    close: async () => {
      clearInterval(timer);
      await thread.terminate();
    },
  };
};
