import { randomUUID } from "node:crypto";
import { AppError, type CreateMcpServer, type McpServer, type McpTool, type UpdateMcpServer } from "@cortex/contracts";
import { isUniqueViolation, type Tx } from "@cortex/db";
import type { Vault } from "@cortex/secrets";
import { sql } from "kysely";
import { sealHeaders } from "./sealed-headers.ts";
import { changesOf, type ServerRow, Tools, toServer } from "./server-view.ts";

export interface McpDeps {
  tx: Tx;
  /** Null: this installation has no keys for secrets. */
  vault: Vault | null;
  /** Stands for a list of tools. */
  hashOf: (tools: readonly Pick<McpTool, "name" | "hash">[]) => string;
}

/** Each of them may add 64 tools to every prompt. */
const maxServers = 20;

/** The servers of an account, by name; there are few. */
export const listMcpServers = async (
  { tx, hashOf }: Omit<McpDeps, "vault">,
  input: { accountId: string },
): Promise<McpServer[]> => {
  const rows = await sql<ServerRow>`
    select * from cortex.mcp_servers where account_id = ${input.accountId} order by name`.execute(tx);
  return rows.rows.map((row) => toServer(row, hashOf));
};

/** Null: there is no such server for this caller. */
export const getMcpServer = async (
  { tx, hashOf }: Omit<McpDeps, "vault">,
  input: { serverId: string },
): Promise<McpServer | null> => {
  const found = await sql<ServerRow>`select * from cortex.mcp_servers where id = ${input.serverId}`.execute(tx);
  const [row] = found.rows;
  return row ? toServer(row, hashOf) : null;
};

/**
 * Adds a server; nobody has asked it for its tools yet. The caller of this function has found out that the user manages the account.
 * Errors: `conflict` (the name is taken, or there are too many), `unavailable` (headers, and no keys to seal them)
 */
export const createMcpServer = async (
  deps: McpDeps,
  input: { accountId: string } & CreateMcpServer,
): Promise<McpServer> => {
  const { accountId, name, url, headers, approval, effect } = input;
  const id = randomUUID();
  const sealed = sealHeaders(deps.vault, { accountId, id }, headers);
  // One after the other, or two would both find room for one.
  const counted = await sql<{ servers: number }>`
    select (select count(*)::int from cortex.mcp_servers where account_id = accounts.id) as servers
    from cortex.accounts where id = ${accountId} for no key update`.execute(deps.tx);
  if ((counted.rows[0]?.servers ?? 0) >= maxServers)
    throw new AppError("conflict", `An account may have at most ${maxServers} MCP servers.`);
  try {
    const created = await sql<ServerRow>`
      insert into cortex.mcp_servers (id, account_id, name, url, headers_sealed, header_names, approval, effect)
      values (${id}, ${accountId}, ${name}, ${url}, ${sealed}, ${Object.keys(headers)}::text[], ${approval}, ${effect})
      returning *`.execute(deps.tx);
    const [row] = created.rows;
    if (!row) throw new Error("an insert answers with its row");
    return toServer(row, deps.hashOf);
  } catch (error) {
    if (isUniqueViolation(error)) throw new AppError("conflict", `There is an MCP server named ${name} already.`);
    throw error;
  }
};

/**
 * A server under lock, for whoever changes it.
 * @returns null if there is no such server. Error: `forbidden` (who does not manage the account)
 */
export const lockMcpServer = async (tx: Tx, input: { serverId: string }): Promise<ServerRow | null> => {
  const found = await sql<{ id: string; account_id: string }>`
    select id, account_id from cortex.mcp_servers where id = ${input.serverId}`.execute(tx);
  if (found.rows.length === 0) return null;
  // Row-level security lets a member read the server but not lock it.
  const locked = await sql<ServerRow>`
    select * from cortex.mcp_servers where id = ${input.serverId} for no key update`.execute(tx);
  const [row] = locked.rows;
  if (!row) throw new AppError("forbidden", "This needs the role admin in the account.");
  return row;
};

/** Changes what is given. Errors: as `createMcpServer`, `forbidden`. Null: there is no such server. */
export const changeMcpServer = async (
  deps: McpDeps,
  input: { serverId: string; changes: UpdateMcpServer },
): Promise<McpServer | null> => {
  const { serverId, changes } = input;
  const server = await lockMcpServer(deps.tx, { serverId });
  if (!server) return null;
  const { url, headers, enabled, approval, effect } = changes;
  const moved = url !== undefined && url !== server.url;
  // Whoever manages the account must not learn a credential that they never knew by having it sent to an address of theirs.
  const given = headers ?? (moved ? {} : undefined);
  const sealed =
    given === undefined
      ? server.headers_sealed
      : sealHeaders(deps.vault, { accountId: server.account_id, id: serverId }, given);
  const names = given === undefined ? server.header_names : Object.keys(given);
  const changed = await sql<ServerRow>`
    update cortex.mcp_servers set
      url = ${url ?? server.url}, headers_sealed = ${sealed}, header_names = ${names}::text[],
      enabled = ${enabled ?? server.enabled}, approval = ${approval ?? server.approval}, effect = ${effect ?? server.effect},
      revision = case when ${given !== undefined} then gen_random_uuid() else revision end,
      pinned = case when ${moved} then '[]'::jsonb else pinned end,
      seen = case when ${moved} then null else seen end,
      refused = case when ${moved} then '[]'::jsonb else refused end,
      problem = case when ${moved} then null else problem end,
      checked_at = case when ${moved} then null else checked_at end,
      updated_at = now()
    where id = ${serverId} returning *`.execute(deps.tx);
  const [row] = changed.rows;
  return row ? toServer(row, deps.hashOf) : null;
};

/**
 * Removes a server, and what was said about its tools: one that gets its name later must not get their approvals.
 * False: there is no such server. Error: `forbidden`
 */
export const deleteMcpServer = async (tx: Tx, input: { serverId: string }): Promise<boolean> => {
  const server = await lockMcpServer(tx, input);
  if (!server) return false;
  await sql`
    delete from cortex.tool_settings
    where account_id = ${server.account_id} and starts_with(tool_name, ${`mcp_${server.name}_`})`.execute(tx);
  await sql`delete from cortex.mcp_servers where id = ${input.serverId}`.execute(tx);
  return true;
};

/**
 * Takes what the server offered as what runs use from their next step on, if it still is what the caller has looked at.
 * Errors: `forbidden`, `conflict`. Null: there is no such server.
 */
export const acceptMcpChanges = async (
  deps: Omit<McpDeps, "vault">,
  input: { serverId: string; hash: string },
): Promise<McpServer | null> => {
  const server = await lockMcpServer(deps.tx, input);
  if (!server) return null;
  const seen = server.seen === null ? null : Tools.parse(server.seen);
  const changes = changesOf(Tools.parse(server.pinned), seen, deps.hashOf);
  const already = seen !== null && changes === null && deps.hashOf(seen) === input.hash;
  if (!already && changes?.hash !== input.hash)
    throw new AppError("conflict", "These are not the changes that the server offers now. Look at them again.");
  await sql`
    update cortex.mcp_servers set pinned = seen, updated_at = now()
    where id = ${input.serverId} and seen is not null and pinned <> seen`.execute(deps.tx);
  return getMcpServer(deps, input);
};
