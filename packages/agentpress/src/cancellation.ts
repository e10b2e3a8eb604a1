/** Timers hold 31 bits of milliseconds (about 24 days); a later deadline is looked at again when this one fires. */
const longestTimerMs = 2 ** 31 - 1;

class DeadlineReached extends Error {
  override readonly name = "DeadlineReached";
}

export interface Cancellation {
  /** Aborted by the caller or by the deadline, whichever comes first. */
  readonly signal: AbortSignal;
  /** Who ended the run; null while nobody has. */
  endedBy(): "caller" | "deadline" | null;
  dispose(): void;
}

/** One signal for everything a run does. Whoever starts it disposes of it, so that a long-lived caller's signal keeps no trace of it. */
export const startCancellation = (caller: AbortSignal, deadline: Date): Cancellation => {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;

  const forward = () => controller.abort(caller.reason);
  const watch = () => {
    const left = deadline.getTime() - Date.now();
    // Written so that an invalid date counts as reached instead of as never.
    if (!(left > 0)) controller.abort(new DeadlineReached("the run reached its time limit"));
    else timer = setTimeout(watch, Math.min(left, longestTimerMs));
  };

  if (caller.aborted) forward();
  else {
    caller.addEventListener("abort", forward, { once: true });
    watch();
  }

  return {
    signal: controller.signal,
    endedBy: () => {
      if (!controller.signal.aborted) return null;
      return controller.signal.reason instanceof DeadlineReached ? "deadline" : "caller";
    },
    dispose: () => {
      clearTimeout(timer);
      caller.removeEventListener("abort", forward);
    },
  };
};
