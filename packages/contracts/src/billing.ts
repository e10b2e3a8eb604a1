import { z } from "zod";
import { RunId } from "./ids.ts";
import { Timestamp, Usd } from "./values.ts";

/** Why the billing gate lets no run start. */
export const GateRefusal = z.enum(["insufficient_credits", "model_not_in_plan", "too_many_runs"]);
export type GateRefusal = z.infer<typeof GateRefusal>;

/** `GET /billing/check-status`: may this account start a run now, and if not, why. The same rule as the start itself. */
export const BillingStatus = z
  .object({
    can_run: z.boolean(),
    code: GateRefusal.optional(),
    detail: z.string().optional(),
    balance_usd: Usd,
    /** The id of the plan. */
    plan: z.string(),
  })
  .meta({ id: "BillingStatus" });
export type BillingStatus = z.infer<typeof BillingStatus>;

/** `GET /billing/balance`: what is left to spend, without what is held back for active runs. */
export const Balance = z.object({ balance_usd: Usd }).meta({ id: "Balance" });
export type Balance = z.infer<typeof Balance>;

export const LedgerEntryKind = z.enum(["grant", "purchase", "refund", "reserve", "release", "usage", "adjustment"]);
export type LedgerEntryKind = z.infer<typeof LedgerEntryKind>;

/** One movement of credits. The balance of an account is the sum of its entries. */
export const LedgerEntry = z
  .object({
    id: z.string(),
    kind: LedgerEntryKind,
    /** Negative: taken from the account. */
    amount_usd: Usd,
    run_id: RunId.nullable(),
    description: z.string(),
    created_at: Timestamp,
  })
  .meta({ id: "LedgerEntry" });
export type LedgerEntry = z.infer<typeof LedgerEntry>;
