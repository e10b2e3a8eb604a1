import { requireRole } from "@cortex/accounts";
import { changeAgent, createAgent, deleteAgent, getAgent, listAgents } from "@cortex/agents";
import { Agent, AgentId, CreateAgent, ListQuery, page, UpdateAgent } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { createRoute, z } from "@hono/zod-openapi";
import { actingAccount } from "../acting-account.ts";
import { answerOnce } from "../answer-once.ts";
import type { Api } from "../request-context.ts";
import { creates, found, json, jsonBody, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const common = { tags: ["agents"], security: secured };
const params = z.object({ agent_id: AgentId });

const list = createRoute({
  ...common,
  method: "get",
  path: "/agents",
  operationId: "listAgents",
  summary: "The agents of the account, newest first",
  request: { query: ListQuery },
  responses: { 200: json(page(Agent), "A page of agents"), ...problems("not_found", "invalid_cursor") },
});

const create = createRoute({
  ...common,
  ...creates,
  method: "post",
  path: "/agents",
  operationId: "createAgent",
  summary: "Create an agent with its first version, which is active",
  request: jsonBody(CreateAgent),
  responses: {
    201: json(Agent, "The new agent"),
    ...problems("not_found", "forbidden", "unknown_model", "unknown_tool"),
  },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/agents/{agent_id}",
  operationId: "getAgent",
  summary: "An agent with its active version",
  request: { params },
  responses: { 200: json(Agent, "The agent"), ...problems("not_found") },
});

const update = createRoute({
  ...common,
  method: "patch",
  path: "/agents/{agent_id}",
  operationId: "updateAgent",
  summary: "Rename an agent, make it the default, or activate one of its versions; what is left out stays",
  request: { params, ...jsonBody(UpdateAgent) },
  responses: { 200: json(Agent, "The agent as it is now"), ...problems("not_found", "forbidden") },
});

const remove = createRoute({
  ...common,
  method: "delete",
  path: "/agents/{agent_id}",
  operationId: "deleteAgent",
  summary: "Delete an agent. Its runs go on and stay; the default agent of an account cannot be deleted",
  request: { params },
  responses: { 204: { description: "It is gone" }, ...problems("not_found", "forbidden", "conflict") },
});

export const registerAgents = (api: Api, { db, choices }: ApiServices): void => {
  api.openapi(list, async (c) => {
    const caller = c.get("caller");
    const query = c.req.valid("query");
    const agents = await asUser(db, caller, async (tx) => {
      const { accountId } = await actingAccount(tx, caller);
      return listAgents(tx, { accountId, ...query });
    });
    return c.json(agents, 200);
  });

  api.openapi(create, async (c) => {
    const caller = c.get("caller");
    const body = c.req.valid("json");
    choices.checkVersion(body.version);
    const once = answerOnce(c, { status: 201 });
    const agent = await asUser(db, caller, async (tx) => {
      const { accountId, role } = await actingAccount(tx, caller);
      requireRole(role, "member");
      return once(tx, () => createAgent(tx, { accountId, ...body }));
    });
    return c.json(agent, 201, { location: `/api/agents/${agent.id}` });
  });

  api.openapi(get, async (c) => {
    const { agent_id: agentId } = c.req.valid("param");
    const agent = await asUser(db, c.get("caller"), (tx) => getAgent(tx, { agentId }));
    return c.json(found(agent, "agent"), 200);
  });

  api.openapi(update, async (c) => {
    const { agent_id: agentId } = c.req.valid("param");
    const changes = c.req.valid("json");
    const agent = await asUser(db, c.get("caller"), (tx) => changeAgent(tx, { agentId, changes }));
    return c.json(found(agent, "agent"), 200);
  });

  api.openapi(remove, async (c) => {
    const { agent_id: agentId } = c.req.valid("param");
    const deleted = await asUser(db, c.get("caller"), (tx) => deleteAgent(tx, { agentId }));
    found(deleted || null, "agent");
    return c.body(null, 204);
  });
};
