import type { ExecInput, ExecResult, Sandbox } from "../../port/sandbox.ts";
import type { Machine } from "../../running/machine.ts";

/** Lets one in after the other, in the order in which they came. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Waits for its turn, then works. Somebody who gives up waiting throws the signal's reason and lets the next one in. */
  async take<Result>(work: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const before = this.#last;
    const mine = Promise.withResolvers<void>();
    this.#last = before.then(() => mine.promise);
    try {
      if (signal === undefined) await before;
      else await Promise.race([before, rejection(signal)]);
      signal?.throwIfAborted();
      return await work();
    } finally {
      mine.resolve();
    }
  }
}

const rejection = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const refuse = () => reject(signal.reason);
    if (signal.aborted) refuse();
    else signal.addEventListener("abort", refuse, { once: true });
  });

/**
 * Scripts of one interpreter take turns, and one that had to be ended takes its process with it. Both because of defects in just-bash
 * 3.4.2 (its issues 442 and 379): two scripts that write into one folder lock each other out for ever, and so does what an aborted
 * script leaves behind.
 */
export const oneAtATime = (sandbox: Sandbox, machine: Machine, turns: Turns): Sandbox => {
  const exec = async ({ onKilled, ...input }: ExecInput, signal?: AbortSignal): Promise<ExecResult> => {
    let ended = false;
    try {
      const result = await sandbox.exec(input, signal);
      ended = !result.timedOut;
      return result;
    } catch (error) {
      ended = signal?.aborted !== true;
      throw error;
    } finally {
      if (!ended) await machine.stop();
      if (!ended && signal?.aborted === true) onKilled?.({ processes: null, sandboxStopped: true });
    }
  };
  return {
    id: sandbox.id,
    provider: sandbox.provider,
    capabilities: sandbox.capabilities,
    files: sandbox.files,
    exec: (input, signal) => turns.take(() => exec(input, signal), signal),
    connect: (input, signal) => sandbox.connect(input, signal),
    takeNotices: () => sandbox.takeNotices(),
  };
};
