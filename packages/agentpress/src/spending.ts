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
  /** So far, in units of 1e-10 USD. */
  readonly cost: UsdUnits;
  /**
   * Adds a model call that will be reported by the next `model.completed`, or by the outcome if there is none.
   * @param price null: unknown, it costs 0
   */
  add(usage: Usage, price: ModelPrice | null): void;
  /** Everything added since the last report. */
  report(): Charge;
  totals(): AgentTotals;
}

/** @param before what earlier attempts used */
export const startSpending = (before: Charge | null): Spending => {
  let reported = before?.usage ?? noUsage;
  let pending = noUsage;
  let cost = usdToUnits(before?.cost_usd ?? "0");
  let pendingCost: UsdUnits = 0n;

  return {
    get cost() {
      return cost;
    },
    add: (usage, price) => {
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
