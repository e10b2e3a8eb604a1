import { addUsage, noUsage, type Usage, type Usd } from "@cortex/contracts";
import type { AgentTotals } from "./agent.ts";
import { type UsdUnits, unitsToUsd, usdToUnits } from "./money.ts";
import { costOf, type ModelPrice } from "./models/catalogue.ts";

export interface Charge {
  usage: Usage;
  cost_usd: Usd;
}

/** What a run has used: everything, and the part that no event has carried yet. */
export interface Spending {
  readonly priced: boolean;
  /** So far, in units of 1e-10 USD. */
  readonly cost: UsdUnits;
  /** Adds a model call that will be reported by the next `model.completed`, or by the outcome if there is none. */
  add(usage: Usage): void;
  /** Everything added since the last report. */
  report(): Charge;
  totals(): AgentTotals;
}

/**
 * @param price null: unknown, everything costs 0
 * @param before what earlier attempts used
 */
export const startSpending = (price: ModelPrice | null, before: Charge | null): Spending => {
  let reported = before?.usage ?? noUsage;
  let pending = noUsage;
  let cost = usdToUnits(before?.cost_usd ?? "0");
  let pendingCost: UsdUnits = 0n;

  return {
    priced: price !== null,
    get cost() {
      return cost;
    },
    add: (usage) => {
      const units = price === null ? 0n : costOf(usage, price);
      pending = addUsage(pending, usage);
      pendingCost += units;
      cost += units;
    },
    report: () => {
      const charge = { usage: pending, cost_usd: unitsToUsd(pendingCost) };
      reported = addUsage(reported, pending);
      pending = noUsage;
      pendingCost = 0n;
      return charge;
    },
    totals: () => ({
      usage: addUsage(reported, pending),
      cost_usd: unitsToUsd(cost),
      unreported: { usage: pending, cost_usd: unitsToUsd(pendingCost) },
    }),
  };
};
