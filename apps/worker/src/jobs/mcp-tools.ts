import { defineForeignTool, type Tool, ToolFailure } from "@cortex/agentpress";
import { type McpServerForRun, openHeaders } from "@cortex/agents";
import { AppError } from "@cortex/contracts";
import { type McpAddress, McpError, type McpSource, readInputSchema } from "@cortex/mcp";
import type { Logger } from "@cortex/observability";
import { type Vault, VaultError } from "@cortex/secrets";

export interface McpToolDeps {
  mcp: McpSource;
  vault: Vault | null;
  log: Logger;
}

/** One call of a server's tool. */
const timeoutMs = 60_000;
/** The tool's own limit is first, and what is said of it is the better sentence. Below `timeoutMs`. */
const callMs = 55_000;
const maxResultChars = 30_000;

/** Where a server is, with its credentials: opened for each call, kept by nobody. */
const addressOf = (vault: Vault | null, server: McpServerForRun): McpAddress => {
  const { id, account_id: accountId, revision, name, url } = server;
  try {
    return { id, revision, name, url, headers: openHeaders(vault, { accountId, id }, server.headers_sealed) };
  } catch (error) {
    if (!(error instanceof VaultError)) throw error;
    throw new ToolFailure(`The credentials of the MCP server "${name}" cannot be opened here, so it was not called.`);
  }
};

const toolOf = (deps: McpToolDeps, server: McpServerForRun, pinned: McpServerForRun["pinned"][number]): Tool | null => {
  const schema = readInputSchema(pinned.parameters);
  if (!schema.ok) {
    deps.log.warn({ server_id: server.id, tool: pinned.name, problem: schema.problem }, "a tool is left out");
    return null;
  }
  return defineForeignTool({
    name: pinned.name,
    title: `${pinned.server_tool} (${server.name})`,
    description: pinned.description,
    icon: "plug",
    effect: server.effect,
    approval: server.approval,
    // Whatever a stranger's server answers may have been written to steer the model.
    untrusted: true,
    parameters: pinned.parameters,
    check: schema.check,
    timeoutMs,
    maxResultChars,
    execute: async (args, { signal }) => {
      try {
        const call = { name: pinned.server_tool, hash: pinned.hash, args, timeoutMs: callMs };
        return await deps.mcp.call(addressOf(deps.vault, server), call, signal);
      } catch (error) {
        if (!(error instanceof McpError)) throw error;
        throw error.mayHaveActed
          ? new AppError("unavailable", error.message, {}, { cause: error })
          : new ToolFailure(error.message);
      }
    },
  });
};

/** The accepted tools of an account's servers, by name. Connects to nobody: a server is asked when one of its tools is called. */
export const mcpToolsOf = (deps: McpToolDeps, servers: readonly McpServerForRun[]): Tool[] =>
  servers
    .flatMap((server) => server.pinned.flatMap((pinned) => toolOf(deps, server, pinned) ?? []))
    .toSorted((left, right) => (left.name < right.name ? -1 : 1));
