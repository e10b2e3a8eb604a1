import { type CreateMcpServer, McpServer, page, type UpdateMcpServer } from "@cortex/contracts";
import { call, type Caller, type CallOptions, type CreateOptions } from "../http/call.ts";
import { path } from "../http/connection.ts";
import type { InputOf } from "./input.ts";

const Servers = page(McpServer);

/** The routes of MCP servers. Errors of each: those of `call`. */
export const mcpServerRoutes = (caller: Caller) => ({
  /** All servers of the account, by name. */
  listMcpServers: (options?: CallOptions) =>
    call(caller, { method: "GET", path: "/mcp-servers", answer: Servers, kind: "read", options }),
  /** Its tools are in use once it was asked for them: `refreshMcpServer`. */
  createMcpServer: (input: InputOf<typeof CreateMcpServer>, options?: CreateOptions) =>
    call(caller, { method: "POST", path: "/mcp-servers", body: input, answer: McpServer, kind: "creates", options }),
  getMcpServer: (serverId: string, options?: CallOptions) =>
    call(caller, { method: "GET", path: path`/mcp-servers/${serverId}`, answer: McpServer, kind: "read", options }),
  updateMcpServer: (serverId: string, changes: InputOf<typeof UpdateMcpServer>, options?: CallOptions) =>
    call(caller, {
      method: "PATCH",
      path: path`/mcp-servers/${serverId}`,
      body: changes,
      answer: McpServer,
      kind: "changes",
      options,
    }),
  deleteMcpServer: (serverId: string, options?: CallOptions) =>
    call<void>(caller, {
      method: "DELETE",
      path: path`/mcp-servers/${serverId}`,
      answer: null,
      kind: "changes",
      options,
    }),
  /** Asks the server what it offers. One that does not answer is no failure of this call: look at `problem`. */
  refreshMcpServer: (serverId: string, options?: CallOptions) =>
    call(caller, {
      method: "POST",
      path: path`/mcp-servers/${serverId}/refresh`,
      answer: McpServer,
      kind: "changes",
      options,
    }),
  /** Takes the changes that were looked at; `conflict` if the server offers something else by now. */
  acceptMcpChanges: (serverId: string, hash: string, options?: CallOptions) =>
    call(caller, {
      method: "POST",
      path: path`/mcp-servers/${serverId}/accept`,
      body: { hash },
      answer: McpServer,
      kind: "changes",
      options,
    }),
});
