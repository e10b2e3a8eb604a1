import { addUsd, canonicalUsd, compareUsd, negateUsd } from "@cortex/contracts";
import { byRun, hasEnded } from "./group.ts";
import type { History, LedgerRecord, Violation } from "./history.ts";

const sum = (amounts: readonly string[]): string =>
  amounts.reduce<string>((total, amount) => addUsd(canonicalUsd(total), canonicalUsd(amount)), "0");

const equal = (left: string, right: string): boolean => compareUsd(canonicalUsd(left), canonicalUsd(right)) === 0;

/** I9: money moves once per fact: what a run has cost is what its steps cost and what was taken; what was held back is given back; balances are sums. */
export const checkMoney = (history: History): Violation[] => {
  const found: Violation[] = [];
  const entries = byRun(history.ledger);
  const steps = byRun(history.steps);
  for (const run of history.runs) {
    const add = (what: string): void => void found.push({ invariant: "I9", runId: run.id, what });
    const moved = entries.get(run.id) ?? [];
    const of = (kind: string): LedgerRecord[] => moved.filter((entry) => entry.kind === kind);
    const taken = negateUsd(canonicalUsd(sum(of("usage").map((entry) => entry.amount_usd))));
    if (!equal(taken, run.cost_usd)) add(`cost ${run.cost_usd}, and ${taken} was taken`);
    const stepCost = sum((steps.get(run.id) ?? []).map((step) => step.cost_usd));
    // The answer that a stop cut is paid for and is no step.
    if (run.status === "completed" && !equal(stepCost, run.cost_usd))
      add(`cost ${run.cost_usd}, its steps ${stepCost}`);
    const held = sum([...of("reserve"), ...of("release")].map((entry) => entry.amount_usd));
    if (hasEnded(run) && !equal(held, "0")) add(`has ended, and ${held} of its reservation is not given back`);
    if (of("reserve").length !== 1) add(`credit was held back ${of("reserve").length} times`);
  }
  const keys = new Set(history.ledger.map(({ key }) => key));
  if (keys.size !== history.ledger.length)
    found.push({ invariant: "I9", runId: null, what: "a key moved money twice" });
  for (const { account_id, balance_usd } of history.balances) {
    const total = sum(
      history.ledger.filter((entry) => entry.account_id === account_id).map((entry) => entry.amount_usd),
    );
    if (!equal(total, balance_usd))
      found.push({
        invariant: "I9",
        runId: null,
        what: `the balance of ${account_id} is ${balance_usd}, its sum ${total}`,
      });
  }
  return found;
};
