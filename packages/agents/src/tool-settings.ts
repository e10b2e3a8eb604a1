import type { UpdateToolSettings } from "@cortex/contracts";
import { asAccount, type Db, type Tx } from "@cortex/db";
import { type RawBuilder, sql } from "kysely";
import type { ToolSetting } from "./effective-tool.ts";
import { type McpServerForRun, mcpServersOf } from "./mcp/servers-for-run.ts";

/** The settings of tools as they stood together with their number, which grows with every change. */
export interface ToolSettingsAsOf {
  version: number;
  settings: readonly ToolSetting[];
}

/** Everything that the tools of a run depend on, as of one moment. */
export interface ToolsForRun extends ToolSettingsAsOf {
  servers: readonly McpServerForRun[];
}

/**
 * As a column of a statement that reads something else as well: what the account, and that agent of it, say about tools.
 * @param account, agent the columns, or values, that hold their ids; null: no agent
 */
export const toolSettingsOf = (account: RawBuilder<unknown>, agent: RawBuilder<unknown>): RawBuilder<ToolSetting[]> =>
  sql<ToolSetting[]>`(
    select coalesce(jsonb_agg(jsonb_build_object('tool_name', said.tool_name, 'agent_id', said.agent_id, 'enabled', said.enabled,
      'description', said.description, 'approval', said.approval) order by said.tool_name, said.agent_id), '[]')
    from cortex.tool_settings said
    where said.account_id = ${account} and (said.agent_id is null or said.agent_id = ${agent})
  )`;

const select = (input: { accountId: string; agentId: string | null }) => sql<ToolSettingsAsOf>`
  select accounts.tools_version as version, ${toolSettingsOf(sql`accounts.id`, sql`${input.agentId}::uuid`)} as settings
  from cortex.accounts where accounts.id = ${input.accountId}`;

/** What an account, and one of its agents, say about tools. An account that is not visible says nothing. */
export const readToolSettings = async (
  tx: Tx,
  input: { accountId: string; agentId: string | null },
): Promise<ToolSettingsAsOf> => {
  const { rows } = await select(input).execute(tx);
  return rows[0] ?? { version: 0, settings: [] };
};

/** The same in a transaction of its own, for a worker whose run is under way. */
export const readToolSettingsForRun = (db: Db, input: { accountId: string; agentId: string }): Promise<ToolsForRun> =>
  asAccount(db, { accountId: input.accountId, reads: true }, async (tx) => {
    const { rows } = await sql<ToolsForRun>`
      select accounts.tools_version as version, ${toolSettingsOf(sql`accounts.id`, sql`${input.agentId}::uuid`)} as settings,
        ${mcpServersOf(sql`accounts.id`)} as servers
      from cortex.accounts where accounts.id = ${input.accountId}`.execute(tx);
    return rows[0] ?? { version: 0, settings: [], servers: [] };
  });

/**
 * Says something about a tool, for the whole account (`agentId` null) or for one of its agents. What is left out stays, null takes it back. The
 * caller has found out that the tool exists and that its user may; row-level security refuses it otherwise.
 */
export const changeToolSettings = async (
  tx: Tx,
  input: { accountId: string; agentId: string | null; toolName: string; changes: UpdateToolSettings },
): Promise<void> => {
  const { accountId, agentId, toolName } = input;
  const { enabled, description, approval } = input.changes;
  // Of two values: whether this field was named, and to what.
  const set = (column: "enabled" | "description" | "approval", value: unknown) =>
    value === undefined ? sql`tool_settings.${sql.ref(column)}` : sql`excluded.${sql.ref(column)}`;
  await sql`
    insert into cortex.tool_settings (account_id, agent_id, tool_name, enabled, description, approval)
    values (${accountId}, ${agentId}, ${toolName}, ${enabled ?? null}, ${description ?? null}, ${approval ?? null})
    on conflict (account_id, agent_id, tool_name) do update set
      enabled = ${set("enabled", enabled)}, description = ${set("description", description)},
      approval = ${set("approval", approval)}, updated_at = now()`.execute(tx);
};

/** Takes back everything that was said about a tool in one place. */
export const resetToolSettings = async (
  tx: Tx,
  input: { accountId: string; agentId: string | null; toolName: string },
): Promise<void> => {
  await sql`
    delete from cortex.tool_settings
    where account_id = ${input.accountId} and agent_id is not distinct from ${input.agentId}::uuid and tool_name = ${input.toolName}`.execute(
    tx,
  );
};
