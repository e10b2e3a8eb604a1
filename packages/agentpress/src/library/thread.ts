import { parentPort, workerData } from "node:worker_threads";
import { HelperError } from "./helper-error.ts";
import { type JobName, jobs } from "./jobs.ts";

/** Does one job and ends. */
const { name, input } = workerData as { name: JobName; input: unknown };
const job = jobs[name] as (input: unknown) => unknown;
const answer = (value: unknown): void => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
  parentPort?.postMessage(value);
};
try {
  answer({ ok: true, value: job(input) });
} catch (error) {
  // The stack, or the longest string that there can be.
  if (error instanceof RangeError)
    answer({ ok: false, problem: "The input is nested too deeply, or the result is too long." });
  else if (error instanceof HelperError) answer({ ok: false, problem: error.message });
  else throw error;
}
