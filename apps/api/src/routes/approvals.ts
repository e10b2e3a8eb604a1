import { ApprovalAnswer, DecideApproval, RunId } from "@cortex/contracts";
import { decideApproval } from "@cortex/runs";
import { createRoute, z } from "@hono/zod-openapi";
import type { Api } from "../request-context.ts";
import { found, json, jsonBody, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const decide = createRoute({
  tags: ["runs"],
  security: secured,
  method: "post",
  path: "/agent-run/{agent_run_id}/approvals/{tool_call_id}",
  operationId: "decideApproval",
  summary: "Decide about a tool call that waits for a person, once; the same decision may be repeated",
  description:
    "The calls are in `approvals` of the run and in its `run.waiting`. The digest of the call is repeated, so that nobody decides about anything " +
    "else than what was shown. When all calls are decided the run goes on by itself. Members may decide, viewers may not.",
  request: {
    params: z.object({ agent_run_id: RunId, tool_call_id: z.string().max(512) }),
    ...jsonBody(DecideApproval),
  },
  responses: {
    200: json(ApprovalAnswer, "The decision, as it is stored"),
    ...problems("not_found", "forbidden", "approval_mismatch", "conflict"),
  },
});

export const registerApprovals = (api: Api, { approvals }: ApiServices): void => {
  api.openapi(decide, async (c) => {
    const { agent_run_id: runId, tool_call_id: callId } = c.req.valid("param");
    const answer = await decideApproval(approvals, { ...c.get("caller"), runId, callId, body: c.req.valid("json") });
    return c.json(found(answer, "call that waits for a decision"), 200);
  });
};
