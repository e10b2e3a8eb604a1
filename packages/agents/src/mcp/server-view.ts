import { type McpChanges, type McpServer, McpTool } from "@cortex/contracts";
import type { DB } from "@cortex/db";
import type { Selectable } from "kysely";
import { z } from "zod";

export type ServerRow = Selectable<DB["mcp_servers"]>;

export const Tools = z.array(McpTool);
const Refused = z.array(z.object({ name: z.string(), reason: z.string() }));

/** What was offered where it is not what was accepted; null: it is the same, or nobody has asked. */
export const changesOf = (
  pinned: readonly McpTool[],
  seen: readonly McpTool[] | null,
  hashOf: (tools: readonly McpTool[]) => string,
): McpChanges | null => {
  if (seen === null) return null;
  const before = new Map(pinned.map((tool) => [tool.server_tool, tool]));
  const after = new Map(seen.map((tool) => [tool.server_tool, tool]));
  const added = seen.filter((tool) => !before.has(tool.server_tool));
  const removed = pinned.filter((tool) => !after.has(tool.server_tool));
  const changed = pinned.flatMap((tool) => {
    const now = after.get(tool.server_tool);
    return now && now.hash !== tool.hash ? [{ before: tool, after: now }] : [];
  });
  if (added.length + removed.length + changed.length === 0) return null;
  return { hash: hashOf(seen), added, changed, removed };
};

/** A stored server as it stands on the wire: without what its headers say. */
export const toServer = (row: ServerRow, hashOf: (tools: readonly McpTool[]) => string): McpServer => {
  const tools = Tools.parse(row.pinned);
  return {
    id: row.id as McpServer["id"],
    account_id: row.account_id as McpServer["account_id"],
    name: row.name,
    url: row.url,
    header_names: row.header_names,
    enabled: row.enabled,
    approval: row.approval as McpServer["approval"],
    effect: row.effect as McpServer["effect"],
    tools,
    changes: changesOf(tools, row.seen === null ? null : Tools.parse(row.seen), hashOf),
    refused: Refused.parse(row.refused),
    problem: row.problem,
    checked_at: row.checked_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
};
