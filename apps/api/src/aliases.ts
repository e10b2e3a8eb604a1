import type { Api } from "./request-context.ts";

/** A second address of a route. Parameters have the names of the canonical address. */
export interface Alias {
  path: string;
  of: string;
}

/** Other words for the same things, as the product's first descriptions used them. Every method of the canonical address answers. */
export const aliases: readonly Alias[] = [
  { path: "/threads/{thread_id}/agent/start", of: "/thread/{thread_id}/agent/start" },
  { path: "/sessions/{thread_id}/agent/start", of: "/thread/{thread_id}/agent/start" },
  { path: "/threads/{thread_id}/agent-runs", of: "/thread/{thread_id}/agent-runs" },
  { path: "/sessions/{thread_id}/agent-runs", of: "/thread/{thread_id}/agent-runs" },
  ...["/thread", "/sessions"].flatMap((noun) => [
    { path: noun, of: "/threads" },
    { path: `${noun}/{thread_id}`, of: "/threads/{thread_id}" },
    { path: `${noun}/{thread_id}/messages`, of: "/threads/{thread_id}/messages" },
    { path: `${noun}/{thread_id}/messages/{message_id}`, of: "/threads/{thread_id}/messages/{message_id}" },
  ]),
  { path: "/project", of: "/projects" },
  { path: "/project/{project_id}", of: "/projects/{project_id}" },
  { path: "/agent-run", of: "/agent-runs" },
  { path: "/runs", of: "/agent-runs" },
  ...["/agent-runs", "/runs"].flatMap((noun) => [
    { path: `${noun}/{agent_run_id}`, of: "/agent-run/{agent_run_id}" },
    { path: `${noun}/{agent_run_id}/steps`, of: "/agent-run/{agent_run_id}/steps" },
    { path: `${noun}/{agent_run_id}/stream`, of: "/agent-run/{agent_run_id}/stream" },
    { path: `${noun}/{agent_run_id}/stream-ticket`, of: "/agent-run/{agent_run_id}/stream-ticket" },
    { path: `${noun}/{agent_run_id}/stop`, of: "/agent-run/{agent_run_id}/stop" },
  ]),
];

/** Addresses of features that do not exist yet: 404 until they do. A test keeps the list honest. */
export const later: readonly string[] = [
  "POST /agents/execute",
  "POST /chat",
  "GET /ws/stream",
  "GET /ws/chat",
  "POST /tasks",
  "GET /tasks",
  "GET /tasks/{id}",
  "POST /behavior/adjust",
  "POST /memory/save",
  "GET /memory/query",
  "POST /tools",
  "PUT /tools/{name}",
  "DELETE /tools/{name}",
  "GET /workflows",
  "POST /workflows",
  "GET /workflows/{id}",
  "PUT /workflows/{id}",
  "DELETE /workflows/{id}",
  "POST /workflows/{id}/run",
  "GET /api-keys",
  "GET /usage",
  "POST /agent-run/{agent_run_id}/replay",
];

const routingPath = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ":$1");

/** Gives every alias the handlers of its canonical address: the same checks in the same order. After all routes are registered. */
export const registerAliases = (api: Api): void => {
  const canonical = [...api.routes];
  for (const { path, of } of aliases) {
    const handlers = canonical.filter((route) => route.path === routingPath(of));
    if (handlers.length === 0) throw new Error(`${path} is an alias of ${of}, which does not exist`);
    for (const { method, handler } of handlers) api.on(method, routingPath(path), handler);
  }
};
