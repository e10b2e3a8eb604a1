import { canonicalUsd, type Usd } from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { sql } from "kysely";

/** What the gate decides on. */
export interface GateFacts {
  planId: string;
  unlimited: boolean;
  reserveUsd: Usd;
  maxActiveRuns: number | null;
  /** Null: every model. */
  models: readonly string[] | null;
  balanceUsd: Usd;
  /** Runs of the account that have not ended. */
  activeRuns: number;
}

/**
 * The facts in one statement; null if there is no such account for this caller. `starting`: under the account's lock, to the end of the
 * transaction, where the plan has a limit that parallel starts could break together (supabase/migrations: cortex.gate_facts).
 */
export const readGateFacts = async (
  tx: Tx,
  input: { accountId: string; starting: boolean },
): Promise<GateFacts | null> => {
  const result = await sql<GateFacts>`
    select plan_id as "planId", unlimited, reserve_usd as "reserveUsd", max_active_runs as "maxActiveRuns", models,
      balance_usd as "balanceUsd", active_runs as "activeRuns"
    from cortex.gate_facts(${input.accountId}, ${input.starting})`.execute(tx);
  const [row] = result.rows;
  return row ? { ...row, reserveUsd: canonicalUsd(row.reserveUsd), balanceUsd: canonicalUsd(row.balanceUsd) } : null;
};
