import { ListQuery, ListRunsQuery, page, Run, RunId, Step, StopAccepted, ThreadId } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { deleteRun, getRun, getThread, getTimeline, listRuns, stopRun } from "@cortex/runs";
import { createRoute, z } from "@hono/zod-openapi";
import { actingAccount } from "../acting-account.ts";
import type { Api } from "../request-context.ts";
import { found, json, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const common = { tags: ["runs"], security: secured };
const params = z.object({ agent_run_id: RunId });

const list = createRoute({
  ...common,
  method: "get",
  path: "/agent-runs",
  operationId: "listRuns",
  summary: "Runs, newest first: of every account of the caller, or of the one that `X-Account-Id` names",
  request: { query: ListRunsQuery },
  responses: { 200: json(page(Run), "A page of runs"), ...problems("not_found", "invalid_cursor") },
});

const listOfThread = createRoute({
  ...common,
  method: "get",
  path: "/thread/{thread_id}/agent-runs",
  operationId: "listRunsOfThread",
  summary: "The runs of a thread, newest first",
  request: { params: z.object({ thread_id: ThreadId }), query: ListQuery },
  responses: { 200: json(page(Run), "A page of runs"), ...problems("not_found", "invalid_cursor") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/agent-run/{agent_run_id}",
  operationId: "getRun",
  summary: "A run as it stands now, with its place in the queue while it waits",
  request: { params },
  responses: { 200: json(Run, "The run"), ...problems("not_found") },
});

const steps = createRoute({
  ...common,
  method: "get",
  path: "/agent-run/{agent_run_id}/steps",
  operationId: "getRunSteps",
  summary: "The durable timeline of a run",
  request: { params },
  responses: { 200: json(page(Step), "All steps; there is never a next page"), ...problems("not_found") },
});

const stop = createRoute({
  ...common,
  method: "post",
  path: "/agent-run/{agent_run_id}/stop",
  operationId: "stopRun",
  summary: "Stop a run; durable when answered, and the same however often it is asked",
  request: { params },
  responses: { 202: json(StopAccepted, "The wish is recorded"), ...problems("not_found", "forbidden") },
});

const remove = createRoute({
  ...common,
  method: "delete",
  path: "/agent-run/{agent_run_id}",
  operationId: "deleteRun",
  summary: "Delete an ended run with its steps; its messages stay in the thread",
  request: { params },
  responses: { 204: { description: "It is gone" }, ...problems("not_found", "forbidden", "run_active") },
});

export const registerRuns = (api: Api, { db, stop: stopDeps }: ApiServices): void => {
  api.openapi(list, async (c) => {
    const caller = c.get("caller");
    const query = c.req.valid("query");
    const runs = await asUser(db, caller, async (tx) => {
      // A list that is empty because the named account or thread is not the caller's must not look like one that has nothing in it.
      if (caller.accountId !== null) await actingAccount(tx, caller);
      if (query.thread_id !== undefined) found(await getThread(tx, { threadId: query.thread_id }), "thread");
      return listRuns(tx, query);
    });
    return c.json(runs, 200);
  });

  api.openapi(listOfThread, async (c) => {
    const { thread_id: threadId } = c.req.valid("param");
    const query = c.req.valid("query");
    const runs = await asUser(db, c.get("caller"), async (tx) => {
      found(await getThread(tx, { threadId }), "thread");
      return listRuns(tx, { ...query, thread_id: threadId });
    });
    return c.json(runs, 200);
  });

  api.openapi(get, async (c) => {
    const { agent_run_id: runId } = c.req.valid("param");
    const run = await asUser(db, c.get("caller"), (tx) => getRun(tx, { runId }));
    return c.json(found(run, "run"), 200);
  });

  api.openapi(steps, async (c) => {
    const { agent_run_id: runId } = c.req.valid("param");
    const timeline = await asUser(db, { ...c.get("caller"), reads: true }, (tx) => getTimeline(tx, { runId }));
    return c.json({ data: found(timeline, "run"), next_cursor: null }, 200);
  });

  api.openapi(stop, async (c) => {
    const { agent_run_id: runId } = c.req.valid("param");
    const stopped = await stopRun(stopDeps, { ...c.get("caller"), runId });
    return c.json(found(stopped, "run"), 202);
  });

  api.openapi(remove, async (c) => {
    const { agent_run_id: runId } = c.req.valid("param");
    const deleted = await asUser(db, c.get("caller"), (tx) => deleteRun(tx, { runId }));
    found(deleted || null, "run");
    return c.body(null, 204);
  });
};
