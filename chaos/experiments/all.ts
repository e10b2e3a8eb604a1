import type { Experiment } from "./experiment.ts";
import { redisAway } from "./redis-away.ts";
import { loadExperiments } from "./scenarios.ts";
import { silentReaders } from "./silent-readers.ts";
import { soak } from "./soak.ts";
import { takeover } from "./takeover.ts";

/** Everything that `--long` asks, in this order. */
export const experiments: readonly Experiment[] = [...loadExperiments, takeover, redisAway, silentReaders, soak];
