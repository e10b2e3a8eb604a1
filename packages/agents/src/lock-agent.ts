import { AppError } from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { sql } from "kysely";

export interface LockedAgent {
  accountId: string;
  isDefault: boolean;
}

/**
 * An agent under lock, for whoever changes it.
 * @returns null if there is no such agent, or it is deleted. Error: `forbidden` (a viewer)
 */
export const lockAgent = async (tx: Tx, input: { agentId: string }): Promise<LockedAgent | null> => {
  const found = await sql<{ account_id: string; locked: string | null; is_default: boolean }>`
    with target as (
      select id, account_id from cortex.agents where id = ${input.agentId} and deleted_at is null
    ), locked as (
      select id, is_default from cortex.agents where id = ${input.agentId} and deleted_at is null for no key update
    )
    select target.account_id, locked.id as locked, locked.is_default from target left join locked on true`.execute(tx);
  const [agent] = found.rows;
  if (!agent) return null;
  // Row-level security lets a viewer read the agent but not lock it.
  if (agent.locked === null) throw new AppError("forbidden", "This needs the role member in the account.");
  return { accountId: agent.account_id, isDefault: agent.is_default };
};
