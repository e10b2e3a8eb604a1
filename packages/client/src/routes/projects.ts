import { type CreateProject, page, Project, type UpdateProject } from "@cortex/contracts";
import { call, type Caller, type CallOptions, type CreateOptions } from "../http/call.ts";
import { path } from "../http/connection.ts";
import type { InputOf, PageQuery } from "./input.ts";

const Projects = page(Project);

/** The routes of projects. Errors of each: those of `call`. */
export const projectRoutes = (caller: Caller) => ({
  /** Newest first. */
  listProjects: (query?: PageQuery, options?: CallOptions) =>
    call(caller, { method: "GET", path: "/projects", query: { ...query }, answer: Projects, kind: "read", options }),
  createProject: (input: InputOf<typeof CreateProject>, options?: CreateOptions) =>
    call(caller, { method: "POST", path: "/projects", body: input, answer: Project, kind: "creates", options }),
  getProject: (projectId: string, options?: CallOptions) =>
    call(caller, { method: "GET", path: path`/projects/${projectId}`, answer: Project, kind: "read", options }),
  updateProject: (projectId: string, changes: InputOf<typeof UpdateProject>, options?: CallOptions) =>
    call(caller, {
      method: "PATCH",
      path: path`/projects/${projectId}`,
      body: changes,
      answer: Project,
      kind: "changes",
      options,
    }),
  /** With its threads and messages. `run_active` while one of its runs has not ended. */
  deleteProject: (projectId: string, options?: CallOptions) =>
    call<void>(caller, {
      method: "DELETE",
      path: path`/projects/${projectId}`,
      answer: null,
      kind: "changes",
      options,
    }),
});
