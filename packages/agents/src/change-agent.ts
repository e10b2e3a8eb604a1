import { type Agent, AppError, type UpdateAgent } from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { sql } from "kysely";
import { type LockedAgent, lockAgent } from "./lock-agent.ts";
import { getAgent } from "./read-agents.ts";

/**
 * Changes what is given and leaves the rest.
 * @returns null if there is no such agent. Errors: `forbidden` (a viewer), `validation_failed` (no such version)
 */
export const changeAgent = async (tx: Tx, input: { agentId: string; changes: UpdateAgent }): Promise<Agent | null> => {
  const { agentId, changes } = input;
  if (changes.is_default) await lockDefault(tx, { agentId });
  const agent = await lockAgent(tx, { agentId });
  if (!agent) return null;
  const versionId = changes.active_version === undefined ? null : await versionOf(tx, agentId, changes.active_version);
  if (changes.is_default && !agent.isDefault) await takeDefault(tx, agent);
  await sql`
    update cortex.agents set
      name = coalesce(${changes.name ?? null}, name),
      description = coalesce(${changes.description ?? null}, description),
      is_default = is_default or ${changes.is_default ?? false},
      active_version_id = coalesce(${versionId}::uuid, active_version_id),
      updated_at = now()
    where id = ${agentId}`.execute(tx);
  return getAgent(tx, { agentId });
};

/**
 * Two agents that become the default at once are one after the other: each would take it from the same third. Before the lock on the agent, or
 * they would wait for each other.
 */
const lockDefault = async (tx: Tx, input: { agentId: string }): Promise<void> => {
  await sql`
    select id from cortex.accounts
    where id = (select account_id from cortex.agents where id = ${input.agentId}) for no key update`.execute(tx);
};

const takeDefault = async (tx: Tx, { accountId }: LockedAgent): Promise<void> => {
  await sql`
    update cortex.agents set is_default = false, updated_at = now()
    where account_id = ${accountId} and is_default`.execute(tx);
};

const versionOf = async (tx: Tx, agentId: string, version: number): Promise<string> => {
  const found = await tx
    .selectFrom("agent_versions")
    .select("id")
    .where("agent_id", "=", agentId)
    .where("version", "=", version)
    .executeTakeFirst();
  if (found) return found.id;
  throw new AppError("validation_failed", `The agent has no version ${version}.`, {
    errors: [{ pointer: "/active_version", detail: "is no version of this agent" }],
  });
};

/**
 * Deletes an agent: it is gone for its users, its rows stay. Runs that it has begun go on with their version, and what it did stays told.
 * @returns false if there is no such agent. Errors: `forbidden` (a viewer), `conflict` (the default agent)
 */
export const deleteAgent = async (tx: Tx, input: { agentId: string }): Promise<boolean> => {
  const agent = await lockAgent(tx, input);
  if (!agent) return false;
  if (agent.isDefault) {
    throw new AppError("conflict", "This is the default agent of its account: make another one the default first.");
  }
  await sql`update cortex.agents set deleted_at = now(), updated_at = now() where id = ${input.agentId}`.execute(tx);
  return true;
};
