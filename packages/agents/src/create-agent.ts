import { randomUUID } from "node:crypto";
import { type Agent, type AgentVersion, type CreateAgent, type CreateAgentVersion } from "@cortex/contracts";
import { type DB, jsonText, type Tx } from "@cortex/db";
import { type Selectable, sql } from "kysely";
import { toAgent, toVersion, type VersionRow } from "./agent-view.ts";
import { lockAgent } from "./lock-agent.ts";

/**
 * An agent with its first version, which is active. The caller of this function has found out that the user is at least a member of the
 * account; row-level security refuses it otherwise.
 */
export const createAgent = async (tx: Tx, input: { accountId: string } & CreateAgent): Promise<Agent> => {
  const { accountId, name, description, version } = input;
  const agentId = randomUUID();
  const versionId = randomUUID();
  const agent = await sql<Selectable<DB["agents"]>>`
    insert into cortex.agents (id, account_id, name, description)
    values (${agentId}, ${accountId}, ${name}, ${description}) returning *`.execute(tx);
  const first = await insertVersion(tx, { accountId, agentId, versionId, version });
  await activate(tx, { agentId, versionId });
  const [row] = agent.rows;
  if (!row) throw new Error("an insert answers with its row");
  return toAgent({ ...row, active_version_id: versionId }, first);
};

/**
 * The next version of an agent, active from now on; runs that have started keep theirs. The lock on the agent's row numbers the versions
 * without gaps.
 * @returns null if there is no such agent. Error: `forbidden`
 */
export const createVersion = async (
  tx: Tx,
  input: { agentId: string } & CreateAgentVersion,
): Promise<AgentVersion | null> => {
  const { agentId, ...version } = input;
  const agent = await lockAgent(tx, { agentId });
  if (!agent) return null;
  const versionId = randomUUID();
  const row = await insertVersion(tx, { accountId: agent.accountId, agentId, versionId, version });
  await activate(tx, { agentId, versionId });
  return toVersion(row);
};

const insertVersion = async (
  tx: Tx,
  input: { accountId: string; agentId: string; versionId: string; version: CreateAgentVersion },
): Promise<VersionRow> => {
  const { accountId, agentId, versionId, version } = input;
  const result = await sql<VersionRow>`
    insert into cortex.agent_versions (id, account_id, agent_id, version, instructions, model, fallback_models, model_parameters, tools,
      approvals, max_steps)
    select ${versionId}, ${accountId}, ${agentId}, coalesce(max(version), 0) + 1, ${version.instructions}, ${version.model},
      ${version.fallback_models}::text[], ${jsonText(version.model_parameters)}::jsonb, ${version.tools}::text[],
      ${jsonText(version.approvals)}::jsonb, ${version.max_steps}::int
    from cortex.agent_versions where agent_id = ${agentId}
    returning *`.execute(tx);
  const [row] = result.rows;
  if (!row) throw new Error("an insert answers with its row");
  return row;
};

const activate = async (tx: Tx, input: { agentId: string; versionId: string }): Promise<void> => {
  await tx
    .updateTable("agents")
    .set({ active_version_id: input.versionId, updated_at: sql<Date>`now()` })
    .where("id", "=", input.agentId)
    .execute();
};
