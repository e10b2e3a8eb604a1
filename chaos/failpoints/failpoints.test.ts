import { createTestFolder } from "@cortex/testing";
import { expect, test } from "vitest";
import { startFleet } from "../fleet/fleet.ts";
import { crashEverywhere, strikingFleet } from "./crash-everywhere.ts";
import { struckPlaces } from "./experiment.ts";

test("a process dies at every failpoint: nothing is lost, doubled or told wrongly", async () => {
  const fleet = await startFleet({ ...strikingFleet, folder: createTestFolder() });
  try {
    // At the first hit of each; `npm run chaos -- --failpoints --seeds 5` goes further.
    const outcome = await crashEverywhere(fleet, { seed: 0 });
    const { violations, strikes, history } = outcome;
    const neverHit = strikes.filter(({ hit }) => !hit);
    const { unanswered } = history;
    expect({ violations, neverHit, unanswered, report: struckPlaces(outcome) }).toMatchObject({
      violations: [],
      neverHit: [],
      unanswered: [],
    });
  } finally {
    await fleet.close();
  }
}, 400_000);
