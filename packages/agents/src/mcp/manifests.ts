import type { ToolManifest } from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { sql } from "kysely";
import { type McpServerForRun, mcpServersOf } from "./servers-for-run.ts";

/** The accepted tools of servers as the list of tools shows them, by name. */
const toManifests = (servers: readonly McpServerForRun[]): ToolManifest[] =>
  servers
    .flatMap((server) =>
      server.pinned.map((tool): ToolManifest => ({
        name: tool.name,
        title: `${tool.server_tool} (${server.name})`,
        description: tool.description,
        icon: "plug",
        source: "mcp",
        effect: server.effect,
        approval: server.approval,
        parameters: tool.parameters,
      })),
    )
    .toSorted((left, right) => (left.name < right.name ? -1 : 1));

/** The accepted tools of the servers of an account that are enabled. */
export const listMcpTools = async (tx: Tx, input: { accountId: string }): Promise<ToolManifest[]> => {
  const { rows } = await sql<{ servers: McpServerForRun[] }>`
    select ${mcpServersOf(sql`${input.accountId}::uuid`)} as servers`.execute(tx);
  return toManifests(rows[0]?.servers ?? []);
};
