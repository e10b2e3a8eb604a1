import { CreateThread, ListQuery, page, ProjectId, Thread, ThreadId, UpdateThread } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { createThread, deleteThread, getThread, listThreads, updateThread } from "@cortex/runs";
import { createRoute, z } from "@hono/zod-openapi";
import { answerOnce } from "../answer-once.ts";
import type { Api } from "../request-context.ts";
import { creates, found, json, jsonBody, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const common = { tags: ["threads"], security: secured };
const params = z.object({ thread_id: ThreadId });

const list = createRoute({
  ...common,
  method: "get",
  path: "/threads",
  operationId: "listThreads",
  summary: "The threads of a project, or of the account; newest first",
  request: { query: ListQuery.extend({ project_id: ProjectId.optional() }) },
  responses: { 200: json(page(Thread), "A page of threads"), ...problems("not_found", "invalid_cursor") },
});

const create = createRoute({
  ...common,
  ...creates,
  method: "post",
  path: "/threads",
  operationId: "createThread",
  summary: "Create a thread; without a project it gets one of its own",
  request: jsonBody(CreateThread),
  responses: { 201: json(Thread, "The new thread"), ...problems("not_found", "forbidden") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/threads/{thread_id}",
  operationId: "getThread",
  summary: "A thread",
  request: { params },
  responses: { 200: json(Thread, "The thread"), ...problems("not_found") },
});

const update = createRoute({
  ...common,
  method: "patch",
  path: "/threads/{thread_id}",
  operationId: "updateThread",
  summary: "Change a thread; what is left out stays, metadata is replaced as a whole",
  request: { params, ...jsonBody(UpdateThread) },
  responses: { 200: json(Thread, "The thread as it is now"), ...problems("not_found", "forbidden") },
});

const remove = createRoute({
  ...common,
  method: "delete",
  path: "/threads/{thread_id}",
  operationId: "deleteThread",
  summary: "Delete a thread with its messages and runs",
  request: { params },
  responses: { 204: { description: "It is gone" }, ...problems("not_found", "forbidden", "run_active") },
});

export const registerThreads = (api: Api, { db }: ApiServices): void => {
  api.openapi(list, async (c) => {
    const caller = c.get("caller");
    const { project_id: projectId = null, ...query } = c.req.valid("query");
    return c.json(await asUser(db, caller, (tx) => listThreads(tx, { caller, projectId, ...query })), 200);
  });

  api.openapi(create, async (c) => {
    const caller = c.get("caller");
    const { project_id: projectId = null, ...body } = c.req.valid("json");
    const once = answerOnce(c, { status: 201 });
    const thread = await asUser(db, caller, (tx) => once(tx, () => createThread(tx, { caller, projectId, ...body })));
    return c.json(thread, 201, { location: `/api/threads/${thread.id}` });
  });

  api.openapi(get, async (c) => {
    const { thread_id: threadId } = c.req.valid("param");
    const thread = await asUser(db, c.get("caller"), (tx) => getThread(tx, { threadId }));
    return c.json(found(thread, "thread"), 200);
  });

  api.openapi(update, async (c) => {
    const { thread_id: threadId } = c.req.valid("param");
    const changes = c.req.valid("json");
    const thread = await asUser(db, c.get("caller"), (tx) => updateThread(tx, { threadId, changes }));
    return c.json(found(thread, "thread"), 200);
  });

  api.openapi(remove, async (c) => {
    const { thread_id: threadId } = c.req.valid("param");
    const deleted = await asUser(db, c.get("caller"), (tx) => deleteThread(tx, { threadId }));
    found(deleted || null, "thread");
    return c.body(null, 204);
  });
};
