import { AppError, type BillingStatus, compareUsd, type GateRefusal, type Usd } from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { type GateFacts, readGateFacts } from "./gate-facts.ts";

export type GateVerdict = { kind: "open"; reserveUsd: Usd } | { kind: "shut"; code: GateRefusal; detail: string };

/**
 * May this account start a run? What no waiting helps against is said first, what passes by itself last.
 * `model` null: the question is asked before a model was chosen.
 */
export const decideGate = (facts: GateFacts, model: string | null): GateVerdict => {
  const { models, reserveUsd, balanceUsd, maxActiveRuns, activeRuns, unlimited } = facts;
  if (model !== null && models !== null && !models.includes(model)) {
    return {
      kind: "shut",
      code: "model_not_in_plan",
      detail: `The plan ${facts.planId} does not include the model ${model}.`,
    };
  }
  if (!unlimited && (compareUsd(balanceUsd, reserveUsd) < 0 || compareUsd(balanceUsd, "0") <= 0)) {
    const detail = `The balance is ${balanceUsd} USD; a run needs ${reserveUsd} USD to start.`;
    return { kind: "shut", code: "insufficient_credits", detail };
  }
  if (maxActiveRuns !== null && activeRuns >= maxActiveRuns) {
    const detail = `${activeRuns} runs have not ended; the plan ${facts.planId} allows ${maxActiveRuns}.`;
    return { kind: "shut", code: "too_many_runs", detail };
  }
  return { kind: "open", reserveUsd: unlimited ? "0" : reserveUsd };
};

const noAccount = () => new AppError("not_found", "There is no such account.");

/**
 * The gate of a start, inside its transaction: holds the account's lock to the end, so that parallel starts are judged one after the other.
 * @returns what has to be reserved for the run
 * @throws AppError `insufficient_credits`, `model_not_in_plan`, `too_many_runs`, `not_found`
 */
export const openGate = async (tx: Tx, input: { accountId: string; model: string }): Promise<{ reserveUsd: Usd }> => {
  const facts = await readGateFacts(tx, { accountId: input.accountId, starting: true });
  if (!facts) throw noAccount();
  const verdict = decideGate(facts, input.model);
  if (verdict.kind === "shut") throw new AppError(verdict.code, verdict.detail);
  return { reserveUsd: verdict.reserveUsd };
};

/** The same question without a start: no lock, no model. Error: `not_found`. */
export const checkGate = async (tx: Tx, input: { accountId: string }): Promise<BillingStatus> => {
  const facts = await readGateFacts(tx, { accountId: input.accountId, starting: false });
  if (!facts) throw noAccount();
  const verdict = decideGate(facts, null);
  const status = { balance_usd: facts.balanceUsd, plan: facts.planId };
  if (verdict.kind === "open") return { can_run: true, ...status };
  return { can_run: false, code: verdict.code, detail: verdict.detail, ...status };
};
