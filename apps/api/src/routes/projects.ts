import { createProject, deleteProject, getProject, listProjects, updateProject } from "@cortex/accounts";
import { CreateProject, ListQuery, page, Project, ProjectId, UpdateProject } from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { createRoute, z } from "@hono/zod-openapi";
import { answerOnce } from "../answer-once.ts";
import type { Api } from "../request-context.ts";
import { creates, found, json, jsonBody, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const common = { tags: ["projects"], security: secured };
const params = z.object({ project_id: ProjectId });

const list = createRoute({
  ...common,
  method: "get",
  path: "/projects",
  operationId: "listProjects",
  summary: "The projects of the account, newest first",
  request: { query: ListQuery },
  responses: { 200: json(page(Project), "A page of projects"), ...problems("not_found", "invalid_cursor") },
});

const create = createRoute({
  ...common,
  ...creates,
  method: "post",
  path: "/projects",
  operationId: "createProject",
  summary: "Create a project",
  request: jsonBody(CreateProject),
  responses: { 201: json(Project, "The new project"), ...problems("not_found", "forbidden") },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/projects/{project_id}",
  operationId: "getProject",
  summary: "A project",
  request: { params },
  responses: { 200: json(Project, "The project"), ...problems("not_found") },
});

const update = createRoute({
  ...common,
  method: "patch",
  path: "/projects/{project_id}",
  operationId: "updateProject",
  summary: "Change a project; what is left out stays",
  request: { params, ...jsonBody(UpdateProject) },
  responses: { 200: json(Project, "The project as it is now"), ...problems("not_found", "forbidden") },
});

const remove = createRoute({
  ...common,
  method: "delete",
  path: "/projects/{project_id}",
  operationId: "deleteProject",
  summary: "Delete a project with its threads",
  request: { params },
  responses: { 204: { description: "It is gone" }, ...problems("not_found", "forbidden", "run_active") },
});

export const registerProjects = (api: Api, { db }: ApiServices): void => {
  api.openapi(list, async (c) => {
    const caller = c.get("caller");
    const query = c.req.valid("query");
    return c.json(await asUser(db, caller, (tx) => listProjects(tx, { caller, ...query })), 200);
  });

  api.openapi(create, async (c) => {
    const caller = c.get("caller");
    const body = c.req.valid("json");
    const once = answerOnce(c, { status: 201 });
    const project = await asUser(db, caller, (tx) => once(tx, () => createProject(tx, { caller, ...body })));
    return c.json(project, 201, { location: `/api/projects/${project.id}` });
  });

  api.openapi(get, async (c) => {
    const { project_id: projectId } = c.req.valid("param");
    const project = await asUser(db, c.get("caller"), (tx) => getProject(tx, { projectId }));
    return c.json(found(project, "project"), 200);
  });

  api.openapi(update, async (c) => {
    const { project_id: projectId } = c.req.valid("param");
    const changes = c.req.valid("json");
    const project = await asUser(db, c.get("caller"), (tx) => updateProject(tx, { projectId, changes }));
    return c.json(found(project, "project"), 200);
  });

  api.openapi(remove, async (c) => {
    const { project_id: projectId } = c.req.valid("param");
    const deleted = await asUser(db, c.get("caller"), (tx) => deleteProject(tx, { projectId }));
    found(deleted || null, "project");
    return c.body(null, 204);
  });
};
