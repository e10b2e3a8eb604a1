import { createTestFolder } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { strikingFleet } from "../failpoints/crash-everywhere.ts";
import { type Fleet, startFleet } from "../fleet/fleet.ts";
import { controls } from "./controls.ts";
import { shown } from "./experiment.ts";
import { tryControl } from "./perform.ts";

let fleet: Fleet;
beforeAll(async () => {
  fleet = await startFleet({ ...strikingFleet, workers: 2, folder: createTestFolder() });
}, 120_000);
afterAll(() => fleet.close());

// The quickest ones; `npm run chaos -- --controls` plays them all.
test.for(["tool_claim", "log_closing"] as const)(
  "%s: the proof notices that it is gone",
  { timeout: 200_000 },
  async (mechanism) => {
    const outcome = await tryControl(fleet, controls[mechanism]);
    expect({ complaints: outcome.complaints, shown: shown(outcome) }).toMatchObject({ complaints: [] });
  },
);
