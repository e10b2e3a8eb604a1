import { ModelInfo, page, ToolInfo } from "@cortex/contracts";
import { createRoute, z } from "@hono/zod-openapi";
import type { Api } from "../request-context.ts";
import { found, json, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";
import { requireActingAccount } from "../acting-account.ts";

const tools = createRoute({
  method: "get",
  path: "/tools",
  operationId: "listTools",
  tags: ["tools"],
  security: secured,
  summary: "The tools that agents may use, by name",
  responses: { 200: json(page(ToolInfo), "All tools; there is never a next page"), ...problems("not_found") },
});

const tool = createRoute({
  method: "get",
  path: "/tools/{name}",
  operationId: "getTool",
  tags: ["tools"],
  security: secured,
  summary: "A tool, with the schema that the model gets",
  request: { params: z.object({ name: z.string().max(128) }) },
  responses: { 200: json(ToolInfo, "The tool"), ...problems("not_found") },
});

const models = createRoute({
  method: "get",
  path: "/models",
  operationId: "listModels",
  tags: ["models"],
  security: secured,
  summary: "The models that a run may ask for, with what is known of them",
  responses: { 200: json(page(ModelInfo), "All models; there is never a next page"), ...problems("not_found") },
});

export const registerCatalogue = (api: Api, services: ApiServices): void => {
  const { choices } = services;

  api.openapi(tools, async (c) => {
    await requireActingAccount(services, c.get("caller"));
    return c.json({ data: [...choices.tools], next_cursor: null }, 200);
  });

  api.openapi(tool, async (c) => {
    await requireActingAccount(services, c.get("caller"));
    const { name } = c.req.valid("param");
    return c.json(found(choices.tools.find((each) => each.name === name) ?? null, "tool"), 200);
  });

  api.openapi(models, async (c) => {
    await requireActingAccount(services, c.get("caller"));
    return c.json({ data: choices.models(), next_cursor: null }, 200);
  });
};
