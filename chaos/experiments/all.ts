import type { Experiment } from "./experiment.ts";
import { loadExperiments } from "./scenarios.ts";

/** Everything that `--long` asks, in this order. */
export const experiments: readonly Experiment[] = [...loadExperiments];
