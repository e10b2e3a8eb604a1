import type { McpTool, ToolApproval, ToolEffect } from "@cortex/contracts";
import { type RawBuilder, sql } from "kysely";

/** A server whose accepted tools a run may use. */
export interface McpServerForRun {
  id: string;
  account_id: string;
  name: string;
  url: string;
  revision: string;
  headers_sealed: string | null;
  approval: ToolApproval;
  effect: ToolEffect;
  pinned: readonly McpTool[];
}

/** As a column of a statement that reads something else as well: the servers of the account that are enabled. */
export const mcpServersOf = (account: RawBuilder<unknown>): RawBuilder<McpServerForRun[]> =>
  sql<McpServerForRun[]>`(
    select coalesce(jsonb_agg(jsonb_build_object('id', server.id, 'account_id', server.account_id, 'name', server.name, 'url', server.url,
      'revision', server.revision, 'headers_sealed', server.headers_sealed, 'approval', server.approval, 'effect', server.effect,
      'pinned', server.pinned) order by server.name), '[]')
    from cortex.mcp_servers server where server.account_id = ${account} and server.enabled
  )`;
