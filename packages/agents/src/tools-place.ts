import type { AccountRole, AgentVersion } from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { sql } from "kysely";
import type { ToolRules, ToolSetting } from "./effective-tool.ts";
import { readToolSettings, toolSettingsOf } from "./tool-settings.ts";

/** Where tools are looked at and set: an account, or one of its agents. */
export interface ToolsPlace {
  accountId: string;
  /** Null: the account itself. */
  agentId: string | null;
  /** Of the caller, in the account. */
  role: AccountRole | null;
  rules: ToolRules;
}

/** The tools of an account, before any of its agents speaks. */
export const accountPlace = async (tx: Tx, input: { accountId: string; role: AccountRole }): Promise<ToolsPlace> => {
  const { settings } = await readToolSettings(tx, { accountId: input.accountId, agentId: null });
  return { ...input, agentId: null, rules: { settings, version: null } };
};

interface AgentRow {
  account_id: string;
  role: AccountRole | null;
  settings: ToolSetting[];
  tools: string[] | null;
  approvals: AgentVersion["approvals"] | null;
}

/** The tools of an agent, as its active version has them. Null: there is no such agent for this caller. */
export const agentPlace = async (tx: Tx, input: { agentId: string }): Promise<ToolsPlace | null> => {
  const found = await sql<AgentRow>`
    select agents.account_id, active.tools, active.approvals,
      (select members.role from cortex.account_members members
        where members.account_id = agents.account_id and members.user_id = cortex.current_user_id()) as role,
      ${toolSettingsOf(sql`agents.account_id`, sql`agents.id`)} as settings
    from cortex.agents left join cortex.agent_versions active on active.id = agents.active_version_id
    where agents.id = ${input.agentId} and agents.deleted_at is null`.execute(tx);
  const [agent] = found.rows;
  if (!agent) return null;
  const { account_id: accountId, role, settings, tools, approvals } = agent;
  return {
    accountId,
    agentId: input.agentId,
    role,
    rules: { settings, version: { tools, approvals: approvals ?? {} } },
  };
};
