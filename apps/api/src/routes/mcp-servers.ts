import { requireRole } from "@cortex/accounts";
import {
  acceptMcpChanges,
  changeMcpServer,
  createMcpServer,
  deleteMcpServer,
  getMcpServer,
  listMcpServers,
  refreshMcpServer,
} from "@cortex/agents";
import { AcceptMcpChanges, CreateMcpServer, McpServer, McpServerId, page, UpdateMcpServer } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { listingHash as hashOf } from "@cortex/mcp";
import { createRoute, z } from "@hono/zod-openapi";
import { actingAccount } from "../acting-account.ts";
import { answerOnce } from "../answer-once.ts";
import type { Api } from "../request-context.ts";
import { creates, found, json, jsonBody, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const common = { tags: ["mcp"], security: secured };
const params = z.object({ server_id: McpServerId });

const list = createRoute({
  ...common,
  method: "get",
  path: "/mcp-servers",
  operationId: "listMcpServers",
  summary: "The MCP servers of the account, by name",
  responses: { 200: json(page(McpServer), "All servers; there is never a next page"), ...problems("not_found") },
});

const create = createRoute({
  ...common,
  ...creates,
  method: "post",
  path: "/mcp-servers",
  operationId: "createMcpServer",
  summary: "Add an MCP server. Ask it for its tools with `refresh`",
  description:
    "Needs the role admin. Its headers are kept sealed and never shown. It is reached by our rules for addresses that users name: only public ones, and what the operator has allowed.",
  request: jsonBody(CreateMcpServer),
  responses: { 201: json(McpServer, "The new server"), ...problems("not_found", "forbidden", "conflict") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/mcp-servers/{server_id}",
  operationId: "getMcpServer",
  summary: "An MCP server: the tools in use, and what it offers otherwise by now",
  request: { params },
  responses: { 200: json(McpServer, "The server"), ...problems("not_found") },
});

const update = createRoute({
  ...common,
  method: "patch",
  path: "/mcp-servers/{server_id}",
  operationId: "updateMcpServer",
  summary: "Change an MCP server; what is left out stays",
  description:
    "Another address is another server: it gets none of the headers that were set before, and none of its tools is in use before it was asked for them.",
  request: { params, ...jsonBody(UpdateMcpServer) },
  responses: { 200: json(McpServer, "The server as it is now"), ...problems("not_found", "forbidden") },
});

const remove = createRoute({
  ...common,
  method: "delete",
  path: "/mcp-servers/{server_id}",
  operationId: "deleteMcpServer",
  summary: "Remove an MCP server and its tools",
  request: { params },
  responses: { 204: { description: "It is gone" }, ...problems("not_found", "forbidden") },
});

const refresh = createRoute({
  ...common,
  method: "post",
  path: "/mcp-servers/{server_id}/refresh",
  operationId: "refreshMcpServer",
  summary: "Ask the server what it offers now",
  description:
    "The first offer is accepted with that. A later one that differs is shown as `changes` and not used before it is accepted. A server that does not answer is no error of this call: `problem` says what is wrong.",
  request: { params },
  responses: { 200: json(McpServer, "The server"), ...problems("not_found", "forbidden") },
});

const accept = createRoute({
  ...common,
  method: "post",
  path: "/mcp-servers/{server_id}/accept",
  operationId: "acceptMcpChanges",
  summary: "Use what the server offers, from the next step of every run on",
  request: { params, ...jsonBody(AcceptMcpChanges) },
  responses: { 200: json(McpServer, "The server"), ...problems("not_found", "forbidden", "conflict") },
});

export const registerMcpServers = (api: Api, { db, vault, mcp }: ApiServices): void => {
  api.openapi(list, async (c) => {
    const caller = c.get("caller");
    const servers = await asUser(db, caller, async (tx) => {
      const { accountId } = await actingAccount(tx, caller);
      return listMcpServers({ tx, hashOf }, { accountId });
    });
    return c.json({ data: servers, next_cursor: null }, 200);
  });

  api.openapi(create, async (c) => {
    const caller = c.get("caller");
    const body = c.req.valid("json");
    const once = answerOnce(c, { status: 201 });
    const server = await asUser(db, caller, async (tx) => {
      const { accountId, role } = await actingAccount(tx, caller);
      requireRole(role, "admin");
      return once(tx, () => createMcpServer({ tx, vault, hashOf }, { accountId, ...body }));
    });
    return c.json(server, 201, { location: `/api/mcp-servers/${server.id}` });
  });

  api.openapi(get, async (c) => {
    const { server_id: serverId } = c.req.valid("param");
    const server = await asUser(db, c.get("caller"), (tx) => getMcpServer({ tx, hashOf }, { serverId }));
    return c.json(found(server, "MCP server"), 200);
  });

  api.openapi(update, async (c) => {
    const { server_id: serverId } = c.req.valid("param");
    const changes = c.req.valid("json");
    const server = await asUser(db, c.get("caller"), (tx) =>
      changeMcpServer({ tx, vault, hashOf }, { serverId, changes }),
    );
    return c.json(found(server, "MCP server"), 200);
  });

  api.openapi(remove, async (c) => {
    const { server_id: serverId } = c.req.valid("param");
    const deleted = await asUser(db, c.get("caller"), (tx) => deleteMcpServer(tx, { serverId }));
    found(deleted || null, "MCP server");
    return c.body(null, 204);
  });

  api.openapi(refresh, async (c) => {
    const { server_id: serverId } = c.req.valid("param");
    const caller = c.get("caller");
    const server = await refreshMcpServer({ db, vault, hashOf, ...mcp }, { caller, serverId }, c.req.raw.signal);
    return c.json(found(server, "MCP server"), 200);
  });

  api.openapi(accept, async (c) => {
    const { server_id: serverId } = c.req.valid("param");
    const { hash } = c.req.valid("json");
    const server = await asUser(db, c.get("caller"), (tx) => acceptMcpChanges({ tx, hashOf }, { serverId, hash }));
    return c.json(found(server, "MCP server"), 200);
  });
};
