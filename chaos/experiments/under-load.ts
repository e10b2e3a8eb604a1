import { startFleet } from "../fleet/fleet.ts";
import { figures, summary } from "../report.ts";
import { injected, type Outcome, runScenario, type Scenario } from "../run-scenario.ts";
import { atLeast, atMost, type Bar, exactly, type Experiment } from "./experiment.ts";

/** A scenario as an experiment: every kind of harm was done at least once, every start was answered, every run has ended; and `more`. */
export const underLoad = (scenario: Scenario, more: (outcome: Outcome) => Bar[]): Experiment => ({
  name: scenario.name,
  about: scenario.about,
  run: async ({ seed }) => {
    const fleet = await startFleet(scenario.fleet);
    try {
      const outcome = await runScenario(fleet, scenario, seed);
      const { history, violations } = outcome;
      const harm = injected(history);
      const { runs, completed, stopped } = figures(history);
      const bars = [
        ...scenario.nemeses.map(({ kind }) => atLeast(kind, harm[kind] ?? 0, 1)),
        atMost("until the last run had ended", outcome.wallMs / 1_000, scenario.deadlineMs / 1_000, " s"),
        exactly("runs", runs, scenario.load.runs),
        exactly("completed or stopped", completed + stopped, scenario.load.runs),
        exactly("starts without an answer", history.unanswered.length, 0),
        ...more(outcome),
      ];
      return { text: summary(outcome), bars, violations, history };
    } finally {
      await fleet.close();
    }
  },
});
