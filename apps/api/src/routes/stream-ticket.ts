import { RunId, StreamTicket } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { findFollowedRun } from "@cortex/runs";
import { createRoute, z } from "@hono/zod-openapi";
import type { Api } from "../request-context.ts";
import { found, json, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const issue = createRoute({
  method: "post",
  path: "/agent-run/{agent_run_id}/stream-ticket",
  operationId: "createStreamTicket",
  tags: ["runs"],
  security: secured,
  summary: "A ticket for the stream of a run, for `EventSource`, which cannot send headers",
  description: [
    "Goes into the address of the stream as `?ticket=`, is good for ten minutes and any number of connections, and for nothing else.",
    "What its holder may see is asked anew at each connection. A stream that it opened ends with it.",
  ].join(" "),
  request: { params: z.object({ agent_run_id: RunId }) },
  responses: { 200: json(StreamTicket, "The ticket"), ...problems("not_found") },
});

export const registerStreamTicket = (api: Api, { db, tickets }: ApiServices): void => {
  api.openapi(issue, async (c) => {
    const { agent_run_id: runId } = c.req.valid("param");
    const { userId, accountId } = c.get("caller");
    found(await asUser(db, { userId, accountId, reads: true }, (tx) => findFollowedRun(tx, { runId })), "run");
    return c.json(await tickets.issue({ userId, accountId, runId }), 200);
  });
};
