import { InitiatedRun, InitiateRun, StartedRun, StartRun, ThreadId } from "@cortex/contracts";
import { initiateRun, startRun } from "@cortex/runs";
import { createRoute, z } from "@hono/zod-openapi";
import { answerOnce } from "../answer-once.ts";
import type { Api } from "../request-context.ts";
import { creates, json, jsonBody, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const common = { tags: ["runs"], security: secured };
const refusals = ["insufficient_credits", "model_not_in_plan", "too_many_runs", "unknown_model", "forbidden"] as const;

const start = createRoute({
  ...common,
  ...creates,
  method: "post",
  path: "/thread/{thread_id}/agent/start",
  operationId: "startRun",
  summary: "Start a run on a thread; `prompt` appends a user message in the same transaction",
  request: { params: z.object({ thread_id: ThreadId }), ...jsonBody(StartRun) },
  responses: {
    202: json(StartedRun, "The run is durable and waits for a worker"),
    ...problems(
      "not_found",
      "thread_busy",
      "thread_empty",
      "thread_answered",
      "project_deleted",
      "unknown_tool",
      ...refusals,
    ),
  },
});

/** Attachments come with a feature of their own; until then nobody's file is taken and lost. */
const InitiateForm = InitiateRun.extend({
  files: z
    .never("attachments are not taken yet")
    .optional()
    .openapi({ type: "string", format: "binary", description: "Attachments are not taken yet: refused" }),
});

const initiate = createRoute({
  ...common,
  ...creates,
  method: "post",
  path: "/agent/initiate",
  operationId: "initiateRun",
  summary: "A project, a thread, the first message and a run in one go: all of it or nothing",
  request: { body: { required: true, content: { "multipart/form-data": { schema: InitiateForm } } } },
  responses: {
    202: json(InitiatedRun, "The run is durable and waits for a worker"),
    ...problems("not_found", ...refusals),
  },
});

export const registerStarts = (api: Api, services: ApiServices): void => {
  api.openapi(start, async (c) => {
    const { thread_id: threadId } = c.req.valid("param");
    const body = c.req.valid("json");
    if (body.tools) services.choices.checkTools(body.tools);
    const run = await startRun(
      { ...services.start, once: answerOnce(c, { status: 202 }) },
      {
        ...c.get("caller"),
        threadId,
        requestId: c.get("requestId"),
        agentId: body.agent_id ?? null,
        model: body.model ?? null,
        prompt: body.prompt ?? null,
        maxCostUsd: body.budget?.max_cost_usd ?? null,
        tools: body.tools ?? null,
        metadata: body.metadata,
      },
    );
    return c.json(run, 202, { location: `/api/agent-run/${run.agent_run_id}` });
  });

  api.openapi(initiate, async (c) => {
    const form = c.req.valid("form");
    const run = await initiateRun(
      // The boundary differs each time a client builds the same form, so the fields are what makes it the same request.
      { ...services.start, once: answerOnce(c, { status: 202, body: JSON.stringify(form) }) },
      {
        ...c.get("caller"),
        requestId: c.get("requestId"),
        agentId: form.agent_id ?? null,
        model: form.model ?? null,
        prompt: form.prompt,
        maxCostUsd: null,
        tools: null,
        metadata: {},
      },
    );
    return c.json(run, 202, { location: `/api/agent-run/${run.agent_run_id}` });
  });
};
