import { requireRole } from "@cortex/accounts";
import { portableSchema } from "@cortex/agentpress/catalogue";
import {
  accountPlace,
  agentPlace,
  changeToolSettings,
  effectiveTool,
  listMcpTools,
  resetToolSettings,
  type ToolsPlace,
} from "@cortex/agents";
import { AgentId, page, ToolInfo, type ToolManifest, ToolName, UpdateToolSettings } from "@cortex/contracts";
import { asUser, type Tx } from "@cortex/db";
import { createRoute, z } from "@hono/zod-openapi";
import { actingAccount } from "../acting-account.ts";
import type { Api, RequestCaller } from "../request-context.ts";
import { found, json, jsonBody, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const common = { tags: ["tools"], security: secured };
const params = z.object({ name: ToolName });
const query = z.object({
  agent_id: AgentId.optional().openapi({ description: "For this agent. Left out: for the whole account" }),
});

const list = createRoute({
  ...common,
  method: "get",
  path: "/tools",
  operationId: "listTools",
  summary: "The tools, by name, as they are in effect for the account or for an agent",
  request: { query },
  responses: { 200: json(page(ToolInfo), "All tools; there is never a next page"), ...problems("not_found") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/tools/{name}",
  operationId: "getTool",
  summary: "A tool, with the description and the schema that the model gets",
  request: { params, query },
  responses: { 200: json(ToolInfo, "The tool"), ...problems("not_found") },
});

const update = createRoute({
  ...common,
  method: "patch",
  path: "/tools/{name}",
  operationId: "updateTool",
  summary: "Enable or disable a tool, describe it anew, or say when its calls wait for a person",
  description:
    "Holds from the next step on, also of runs that are under way. Left out: stays; null: taken back. For the whole account this needs the role admin, for an agent the role member. What is said for an agent can only be stricter than what the account says.",
  request: { params, query, ...jsonBody(UpdateToolSettings) },
  responses: { 200: json(ToolInfo, "The tool as it is in effect now"), ...problems("not_found", "forbidden") },
});

const reset = createRoute({
  ...common,
  method: "delete",
  path: "/tools/{name}/settings",
  operationId: "resetTool",
  summary: "Take back everything that was set for a tool",
  request: { params, query },
  responses: { 204: { description: "Nothing is set any more" }, ...problems("not_found", "forbidden") },
});

/** Where the caller looks at tools. Error: `not_found` */
const placeOf = async (tx: Tx, caller: RequestCaller, input: { agent_id?: string | undefined }): Promise<ToolsPlace> =>
  input.agent_id === undefined
    ? accountPlace(tx, await actingAccount(tx, caller))
    : found(await agentPlace(tx, { agentId: input.agent_id }), "agent");

/** The same for whoever wants to set something there. Errors: `not_found`, `forbidden` */
const placeToSet: typeof placeOf = async (tx, caller, input) => {
  const place = await placeOf(tx, caller, input);
  requireRole(place.role, place.agentId === null ? "admin" : "member");
  return place;
};

const infoOf = (tool: ToolManifest, { rules }: ToolsPlace): ToolInfo => ({
  ...tool,
  ...effectiveTool(tool, rules),
  defaults: { description: tool.description, approval: tool.approval },
});

export const registerTools = (api: Api, { db, choices }: ApiServices): void => {
  /** All tools of a place: those of this installation, and those of its account's servers. */
  const toolsOf = async (tx: Tx, place: ToolsPlace): Promise<ToolManifest[]> => [
    ...choices.tools,
    ...(await listMcpTools(tx, place)).map((tool) => ({ ...tool, parameters: portableSchema(tool.parameters) })),
  ];
  const named = async (tx: Tx, place: ToolsPlace, name: string): Promise<ToolManifest> =>
    found((await toolsOf(tx, place)).find((tool) => tool.name === name) ?? null, "tool");

  api.openapi(list, async (c) => {
    const caller = c.get("caller");
    const tools = await asUser(db, caller, async (tx) => {
      const place = await placeOf(tx, caller, c.req.valid("query"));
      return (await toolsOf(tx, place)).map((tool) => infoOf(tool, place));
    });
    return c.json({ data: tools, next_cursor: null }, 200);
  });

  api.openapi(get, async (c) => {
    const caller = c.get("caller");
    const { name } = c.req.valid("param");
    const tool = await asUser(db, caller, async (tx) => {
      const place = await placeOf(tx, caller, c.req.valid("query"));
      return infoOf(await named(tx, place, name), place);
    });
    return c.json(tool, 200);
  });

  api.openapi(update, async (c) => {
    const caller = c.get("caller");
    const asked = c.req.valid("query");
    const changes = c.req.valid("json");
    const { name } = c.req.valid("param");
    const info = await asUser(db, caller, async (tx) => {
      const place = await placeToSet(tx, caller, asked);
      const tool = await named(tx, place, name);
      const { accountId, agentId } = place;
      await changeToolSettings(tx, { accountId, agentId, toolName: tool.name, changes });
      return infoOf(tool, await placeOf(tx, caller, asked));
    });
    return c.json(info, 200);
  });

  api.openapi(reset, async (c) => {
    const caller = c.get("caller");
    const { name } = c.req.valid("param");
    await asUser(db, caller, async (tx) => {
      const place = await placeToSet(tx, caller, c.req.valid("query"));
      const { accountId, agentId } = place;
      await resetToolSettings(tx, { accountId, agentId, toolName: (await named(tx, place, name)).name });
    });
    return c.body(null, 204);
  });
};
