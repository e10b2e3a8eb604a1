import { whenParentEnds } from "./parent.ts";

/** Copies of one signal arrive within milliseconds; nobody presses Ctrl-C twice in less than this. */
const SAME_REQUEST_MS = 300;

/**
 * Aborts when this command is asked to end: Ctrl-C, SIGTERM, a closed terminal, or (under npm) npm's own end. Whoever asks a
 * second time wants it now: then the process just ends, and the watchdog stops what it had started.
 */
export function interruption(options: { underNpm: boolean }): AbortSignal {
  const interrupt = new AbortController();
  let askedAt = 0;
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => {
      // npm passes a Ctrl-C on that the terminal has already sent to everybody: the same one, not a second one
      if (!interrupt.signal.aborted) askedAt = performance.now();
      else if (performance.now() - askedAt > SAME_REQUEST_MS) process.exit(1);
      interrupt.abort();
    });
  }
  if (options.underNpm) whenParentEnds(() => interrupt.abort());
  return interrupt.signal;
}
