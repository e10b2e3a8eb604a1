import type { McpServer, McpTool } from "@cortex/contracts";
import { asUser, type Db, jsonText } from "@cortex/db";
import type { Vault } from "@cortex/secrets";
import { sql } from "kysely";
import { openHeaders } from "./sealed-headers.ts";
import { getMcpServer, lockMcpServer, type McpDeps } from "./servers.ts";
import { Tools } from "./server-view.ts";

/** How a server is asked; the room that speaks the protocol fits this. */
export interface AskedServer {
  id: string;
  revision: string;
  name: string;
  url: string;
  headers: Readonly<Record<string, string>>;
}

export interface OfferedTools {
  tools: readonly { name: string; description: string; parameters: Record<string, unknown>; hash: string }[];
  refused: readonly { name: string; reason: string }[];
}

export interface RefreshDeps extends Pick<McpDeps, "hashOf"> {
  db: Db;
  vault: Vault | null;
  /** Asks the server. What it throws is told to the user by `problemOf`, or is a fault of ours. */
  list: (server: AskedServer, signal: AbortSignal) => Promise<OfferedTools>;
  /** What may be said of a failure; null: it is no matter of the server. */
  problemOf: (error: unknown) => string | null;
  /** Names by which models call the tools; one that has a name keeps it. */
  nameTools: (server: string, tools: readonly string[], given: ReadonlyMap<string, string>) => Map<string, string>;
}

/**
 * Asks a server what it offers. The first offer of an address is accepted with that; a later one that differs waits until somebody accepts it.
 * No transaction is open while the server is asked.
 * Error: `forbidden`. Null: there is no such server.
 */
export const refreshMcpServer = async (
  deps: RefreshDeps,
  input: { caller: { userId: string; accountId: string | null }; serverId: string },
  signal: AbortSignal,
): Promise<McpServer | null> => {
  const { serverId, caller } = input;
  const server = await asUser(deps.db, caller, (tx) => lockMcpServer(tx, { serverId }));
  if (!server) return null;
  const { id, account_id: accountId, revision, name, url } = server;
  let offered: OfferedTools | null = null;
  let problem: string | null = null;
  try {
    const headers = openHeaders(deps.vault, { accountId, id }, server.headers_sealed);
    offered = await deps.list({ id, revision, name, url, headers }, signal);
  } catch (error) {
    problem = deps.problemOf(error);
    if (problem === null) throw error;
  }
  return asUser(deps.db, caller, async (tx) => {
    const now = await lockMcpServer(tx, { serverId });
    // Moved meanwhile: what the old address has said is of no interest.
    if (now?.revision === revision) {
      const known = new Map(
        [...Tools.parse(now.seen ?? []), ...Tools.parse(now.pinned)].map((tool) => [tool.server_tool, tool.name]),
      );
      const seen =
        offered &&
        toTools(
          offered,
          deps.nameTools(
            name,
            offered.tools.map((tool) => tool.name),
            known,
          ),
        );
      await sql`
        update cortex.mcp_servers set
          problem = ${problem}, checked_at = now(),
          refused = case when ${offered === null} then refused else ${jsonText([...(offered?.refused ?? [])])}::jsonb end,
          pinned = case when ${seen !== null} and seen is null and pinned = '[]' then ${jsonText(seen ?? [])}::jsonb else pinned end,
          seen = coalesce(${seen === null ? null : jsonText(seen)}::jsonb, seen)
        where id = ${serverId}`.execute(tx);
    }
    return getMcpServer({ tx, hashOf: deps.hashOf }, { serverId });
  });
};

const toTools = (offered: OfferedTools, names: ReadonlyMap<string, string>): McpTool[] =>
  Tools.parse(
    offered.tools.map((tool) => ({
      name: names.get(tool.name),
      server_tool: tool.name,
      description: tool.description,
      parameters: tool.parameters,
      hash: tool.hash,
    })),
  );
