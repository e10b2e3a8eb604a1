import type { Logger } from "./logger.ts";

/** A thing that was opened and how to close it. */
interface Closer {
  name: string;
  /** May return a promise, which is awaited. */
  close: () => unknown;
}

export interface Lifetime {
  /** Registers what was just opened. Closing runs last in, first out. */
  opened(name: string, close: Closer["close"]): void;
  /** Closes everything once, keeps going over failures, and reports whether all of them closed in time. */
  close(): Promise<boolean>;
}

/**
 * Whoever opens, closes. One lifetime per process; `main.ts` registers each thing as it opens it.
 * @param options.timeoutMs how long all closers together may take before they are given up
 */
export const createLifetime = (options: { log: Logger; timeoutMs: number }): Lifetime => {
  const closers: Closer[] = [];
  let closing: Promise<boolean> | null = null;

  const closeAll = async (): Promise<boolean> => {
    let clean = true;
    for (let closer = closers.pop(); closer; closer = closers.pop()) {
      try {
        await closer.close();
      } catch (error) {
        clean = false;
        options.log.error({ err: error, closer: closer.name }, "could not close");
      }
    }
    return clean;
  };

  const withDeadline = async (): Promise<boolean> => {
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => {
        options.log.error({ open: closers.map((closer) => closer.name) }, "gave up closing");
        resolve(false);
      }, options.timeoutMs);
    });
    try {
      return await Promise.race([closeAll(), deadline]);
    } finally {
      clearTimeout(timer);
    }
  };

  return {
    opened: (name, close) => void closers.push({ name, close }),
    close: () => (closing ??= withDeadline()),
  };
};

/** After an uncaught error nothing of this process is to be trusted: long enough to hand work over, if that still goes. */
const brokenMs = 2_000;

/**
 * Runs a process until it is told to stop: SIGTERM and SIGINT close the lifetime and exit 0 (1 if something would not close). A signal that comes
 * again changes nothing: a terminal and a supervisor often both send one. An uncaught error is logged and ends the process with 1, because a
 * half-dead process is worse than a restarted one.
 * @returns ends the process with 1 after closing the lifetime, for whoever notices that it no longer works
 */
export const runUntilSignal = (lifetime: Lifetime, log: Logger): { giveUp(reason: string): void } => {
  const leave = (code: number) => {
    void lifetime.close().then((clean) => process.exit(clean ? code : 1));
  };
  const broken = () => {
    setTimeout(() => process.exit(1), brokenMs);
    leave(1);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      log.info({ signal }, "stopping");
      leave(0);
    });
  }
  process.on("uncaughtException", (error) => {
    log.fatal({ err: error }, "uncaught error");
    broken();
  });
  process.on("unhandledRejection", (reason) => {
    log.fatal({ err: reason }, "unhandled rejection");
    broken();
  });
  return {
    giveUp: (reason) => {
      log.fatal({ reason }, "this process no longer works and ends");
      leave(1);
    },
  };
};
