import { createTestFolder } from "@cortex/testing";
import { expect, test } from "vitest";
import { shortScenario } from "./experiments/scenarios.ts";
import { startFleet } from "./fleet/fleet.ts";
import { figures, summary } from "./report.ts";
import { injected, runScenario } from "./run-scenario.ts";

test("workers, APIs, Redis and Postgres die under load: nothing is lost, doubled or told wrongly", async () => {
  const fleet = await startFleet({ ...shortScenario.fleet, folder: createTestFolder() });
  try {
    // The seed is printed with whatever fails; `npm run chaos -- --seed <n>` repeats its decisions.
    const outcome = await runScenario(fleet, shortScenario, Date.now() % 1_000_000);
    const { history, violations } = outcome;
    expect(violations.length === 0 ? "kept every promise" : summary(outcome)).toBe("kept every promise");
    const { runs, completed, stopped } = figures(history);
    expect({ runs, ended: completed + stopped }).toEqual({ runs: 24, ended: 24 });
    expect(history.unanswered).toEqual([]);
    // Harm that was never done proves nothing.
    expect(shortScenario.nemeses.map(({ kind }) => kind).filter((kind) => !injected(history)[kind])).toEqual([]);
  } finally {
    await fleet.close();
  }
}, 240_000);
