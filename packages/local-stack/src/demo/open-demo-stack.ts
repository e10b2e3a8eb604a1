import { setTimeout as delay } from "node:timers/promises";
import { holderOf } from "../stack/home-lock.ts";
import { readStackFile, type StackFile } from "../stack/stack-file.ts";
import { type StackDeps, startStack } from "../stack/start-stack.ts";

/** A stack that is just coming up for the first time may be fetching Redis: the promise is 90 s. 120 s > that. */
const STARTING_TIMEOUT_MS = 120_000;

/**
 * A stack to ask: the one that runs on this data folder (waited for, if it is just starting), else one of our own, which
 * `close` ends. Errors: those of `startStack`.
 */
export async function openDemoStack(deps: StackDeps): Promise<{ file: StackFile; close: () => Promise<void> }> {
  const running = await runningStack(deps.settings.home, deps.signal);
  if (running !== null) return { file: running, close: async () => {} };
  const own = await startStack(deps);
  return { file: own.describe(), close: own.stop };
}

async function runningStack(home: string, signal: AbortSignal): Promise<StackFile | null> {
  const end = performance.now() + STARTING_TIMEOUT_MS;
  for (;;) {
    const holder = holderOf(home);
    if (holder === null) return null;
    const file = readStackFile(home);
    if (file?.supervisor_pid === holder) return file;
    if (performance.now() > end) return null; // `startStack` then says who holds the folder
    await delay(100, undefined, { signal });
  }
}
