import { ModelInfo, page } from "@cortex/contracts";
import { createRoute } from "@hono/zod-openapi";
import type { Api } from "../request-context.ts";
import { json, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";
import { requireActingAccount } from "../acting-account.ts";

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

  api.openapi(models, async (c) => {
    await requireActingAccount(services, c.get("caller"));
    return c.json({ data: choices.models(), next_cursor: null }, 200);
  });
};
