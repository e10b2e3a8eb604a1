import { exactly, type Experiment } from "../experiments/experiment.ts";
import { startFleet } from "../fleet/fleet.ts";
import { figures } from "../report.ts";
import { crashEverywhere, type EverywhereOutcome, strikingFleet } from "./crash-everywhere.ts";

/** Where each process died, in one line per place. */
export const struckPlaces = ({ strikes, history, violations, wallMs }: EverywhereOutcome): string =>
  [
    `failpoints, seed ${history.seed}: ${(wallMs / 1_000).toFixed(1)} s`,
    ...strikes.map(({ name, atHit, hit, ms }) => `  ${hit ? "died at" : "NEVER HIT"} ${name}@${atHit} (${ms} ms)`),
    `  ${Object.entries(figures(history))
      .map(([name, value]) => `${name} ${value}`)
      .join(", ")}`,
    `  violations: ${violations.length}`,
    ...violations.slice(0, 20).map(({ invariant, runId, what }) => `    ${invariant} ${runId ?? ""} ${what}`),
    ...history.unanswered.map((what) => `  not answered: ${what}`),
  ].join("\n");

/** A process dies at every failpoint, at a hit that the seed chooses; whoever is left goes on. */
export const failpointExperiment: Experiment = {
  name: "failpoints",
  about: "a process dies between any two writes",
  run: async ({ seed }) => {
    const fleet = await startFleet(strikingFleet);
    try {
      const outcome = await crashEverywhere(fleet, { seed });
      const { history, violations, strikes } = outcome;
      const bars = [
        exactly("failpoints armed and never hit", strikes.filter(({ hit }) => !hit).length, 0),
        exactly("starts and decisions without an answer", history.unanswered.length, 0),
      ];
      return { text: struckPlaces(outcome), bars, violations, history };
    } finally {
      await fleet.close();
    }
  },
};
