import { Health, Ready } from "@cortex/contracts";
import { createRoute } from "@hono/zod-openapi";
import type { Api } from "../request-context.ts";
import { json } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const health = createRoute({
  method: "get",
  path: "/health",
  operationId: "getHealth",
  tags: ["operation"],
  summary: "Is the process alive? Asks nobody else",
  responses: { 200: json(Health, "It is") },
});

const ready = createRoute({
  method: "get",
  path: "/ready",
  operationId: "getReady",
  tags: ["operation"],
  summary: "Does every dependency answer, and how durable is what they hold?",
  responses: { 200: json(Ready, "All of them do"), 503: json(Ready, "One of them does not") },
});

export const registerHealth = (api: Api, { readiness }: ApiServices): void => {
  api.openapi(health, (c) => c.json({ status: "ok" as const }, 200));

  api.openapi(ready, async (c) => {
    const state = await readiness();
    return c.json(state, state.status === "ready" ? 200 : 503);
  });
};
