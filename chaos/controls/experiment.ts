import { exactly, type Experiment } from "../experiments/experiment.ts";
import { startFleet } from "../fleet/fleet.ts";
import { strikingFleet } from "../failpoints/crash-everywhere.ts";
import { controls } from "./controls.ts";
import { type ControlOutcome, tryControl } from "./perform.ts";

/** What a control has shown, in a line for each invariant that broke. */
export const shown = ({ control, off, complaints }: ControlOutcome): string =>
  [
    `  without ${control.mechanism} (${control.about}): must break ${control.breaks}`,
    ...off.violations.map(({ invariant, what }) => `    ${invariant} ${what}`),
    ...complaints.map((complaint) => `    NOT AS EXPECTED: ${complaint}`),
  ].join("\n");

/** Each mechanism is switched off in turn; the proof must notice, and name the promise that depends on it. */
export const controlExperiment: Experiment = {
  name: "controls",
  about: "each mechanism is switched off in turn, and must be missed",
  run: async () => {
    const fleet = await startFleet({ ...strikingFleet, workers: 2 });
    try {
      const outcomes: ControlOutcome[] = [];
      for (const control of Object.values(controls)) outcomes.push(await tryControl(fleet, control));
      const bars = outcomes.map(({ control, complaints }) =>
        exactly(`surprises without ${control.mechanism}`, complaints.length, 0),
      );
      return { text: outcomes.map(shown).join("\n"), bars, violations: [], history: null };
    } finally {
      await fleet.close();
    }
  },
};
