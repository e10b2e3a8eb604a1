import type { Agent, AgentVersion } from "@cortex/contracts";
import type { DB } from "@cortex/db";
import type { Selectable } from "kysely";

export type VersionRow = Selectable<DB["agent_versions"]>;

/** A stored version as it stands on the wire. */
export const toVersion = (row: VersionRow): AgentVersion => ({
  id: row.id as AgentVersion["id"],
  agent_id: row.agent_id as AgentVersion["agent_id"],
  version: row.version,
  instructions: row.instructions,
  model: row.model,
  fallback_models: row.fallback_models,
  model_parameters: row.model_parameters as AgentVersion["model_parameters"],
  tools: row.tools,
  approvals: row.approvals as AgentVersion["approvals"],
  max_steps: row.max_steps,
  created_at: row.created_at.toISOString(),
});

/** A stored agent, with its active version if it has one. */
export const toAgent = (row: Selectable<DB["agents"]>, active: VersionRow | null): Agent => ({
  id: row.id as Agent["id"],
  account_id: row.account_id as Agent["account_id"],
  name: row.name,
  description: row.description,
  is_default: row.is_default,
  active_version: active && toVersion(active),
  created_at: row.created_at.toISOString(),
  updated_at: row.updated_at.toISOString(),
});
