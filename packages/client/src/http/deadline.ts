import { ConnectionError } from "../failures.ts";

/** A signal of our own that follows the caller's, and can be aborted by a clock too. `release` as soon as the work is done. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** (Re)starts the clock: from now, `ms` may pass. */
  restart(): void;
  /** Stops the clock, for as long as it is the caller who takes their time. */
  suspend(): void;
  /** Ends whatever still hangs on the signal and lets go of the caller's. */
  release(): void;
}

/**
 * Links a caller's signal with a clock. `AbortSignal.any` and `AbortSignal.timeout` would do for one call; on a signal that lives as long as a
 * page, hundreds of them are what keeps memory from being freed.
 */
export const createDeadline = (input: { ms: number; meaning: string; signal: AbortSignal | null }): Deadline => {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const follow = (): void => controller.abort(input.signal?.reason);
  input.signal?.addEventListener("abort", follow);
  if (input.signal?.aborted) follow();
  return {
    signal: controller.signal,
    restart: () => {
      clearTimeout(timer);
      timer = setTimeout(() => controller.abort(new ConnectionError(input.meaning)), input.ms);
    },
    suspend: () => clearTimeout(timer),
    release: () => {
      clearTimeout(timer);
      input.signal?.removeEventListener("abort", follow);
      controller.abort();
    },
  };
};
