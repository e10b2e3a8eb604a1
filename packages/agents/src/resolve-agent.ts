import type { Tx } from "@cortex/db";

/** What a run is pinned to: the active version of its agent at the moment of the start. */
export interface AgentForRun {
  agentId: string;
  versionId: string;
  instructions: string;
  /** Null: the model that the runtime is set to use. */
  model: string | null;
  modelParameters: unknown;
  /** Null: every tool that there is. */
  tools: readonly string[] | null;
  maxSteps: number;
}

/**
 * The agent of a run, or the account's default agent if none is named; one statement. Null: the account has no such agent, or it has no
 * active version.
 */
export const resolveAgentForRun = async (
  tx: Tx,
  input: { accountId: string; agentId: string | null },
): Promise<AgentForRun | null> => {
  const row = await tx
    .selectFrom("agents")
    .innerJoin("agent_versions", "agent_versions.id", "agents.active_version_id")
    .select([
      "agents.id as agentId",
      "agent_versions.id as versionId",
      "agent_versions.instructions",
      "agent_versions.model",
      "agent_versions.model_parameters as modelParameters",
      "agent_versions.tools",
      "agent_versions.max_steps as maxSteps",
    ])
    .where("agents.account_id", "=", input.accountId)
    .where("agents.deleted_at", "is", null)
    .$if(input.agentId === null, (query) => query.where("agents.is_default", "=", true))
    .$if(input.agentId !== null, (query) => query.where("agents.id", "=", input.agentId))
    .executeTakeFirst();
  return row ?? null;
};
