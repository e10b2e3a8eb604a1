import { Worker } from "node:worker_threads";
import { ToolFailure } from "../errors.ts";
import { createPlaces } from "../thread-places.ts";
import type { JobAnswer, JobInput, JobName, JobOutput } from "./jobs.ts";

/** What no honest input of 1 MB needs. Then the thread is ended, in the middle of whatever it does. */
const maxJobMs = 10_000;

/** Megabytes; beyond it the thread dies alone. */
const limits = { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 };

/** Of the process, as its processors are: runs that ask for more wait, which their tools' own limits of time end. */
const inPlace = createPlaces(2);

/**
 * Does a helper's job in a thread of its own, so that it can be ended and our event loop goes on meanwhile. Costs some 40 ms.
 * @throws ToolFailure the input cannot be worked on, or takes too much time or memory; the signal's reason
 */
export const inThread = <Name extends JobName>(
  name: Name,
  input: JobInput<Name>,
  signal: AbortSignal,
): Promise<JobOutput<Name>> => inPlace(signal, () => doInThread(name, input, signal));

const doInThread = async <Name extends JobName>(
  name: Name,
  input: JobInput<Name>,
  signal: AbortSignal,
): Promise<JobOutput<Name>> => {
  signal.throwIfAborted();
  const worker = new Worker(new URL("./thread.ts", import.meta.url), {
    workerData: { name, input },
    resourceLimits: limits,
    // Nothing of ours is for it.
    env: {},
    execArgv: [],
    stdin: false,
  });
  const ending = AbortSignal.any([signal, AbortSignal.timeout(maxJobMs)]);
  try {
    const answer = await new Promise<JobAnswer<Name>>((resolve, reject) => {
      worker.once("message", resolve);
      worker.once("error", reject);
      worker.once("exit", () => reject(new ToolFailure("The helper ended without an answer.")));
      ending.addEventListener("abort", () => reject(ending.reason), { once: true });
    });
    if (answer.ok) return answer.value;
    throw new ToolFailure(answer.problem);
  } catch (error) {
    signal.throwIfAborted();
    if (ending.aborted)
      throw new ToolFailure(`This takes longer than ${maxJobMs / 1_000} s. Make it simpler or smaller.`);
    if (error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY") {
      throw new ToolFailure("This takes too much memory. Make it simpler or smaller.");
    }
    throw error;
  } finally {
    await worker.terminate();
  }
};
