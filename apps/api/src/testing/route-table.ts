import { createHash, randomBytes } from "node:crypto";
import { anAgent, aMessage, aRun, aThread } from "@cortex/testing";
import { aliases } from "../aliases.ts";
import type { ApiUnderTest, Person } from "./api-under-test.ts";

/** One method at one address below `/api`. */
export interface TestedRoute {
  method: string;
  path: string;
  /** The route whose alias this is, or itself. */
  canonical: string;
}

/** A body that a route takes, or how it wants one. */
type Taken = { json: Record<string, unknown> } | { form: Record<string, string> } | null;

/** Stands for a list without tools. */
const noTools = createHash("sha256").update("[]").digest("hex");

/** What each route that asks who you are takes. A route that is missing here fails the tests, so none is left untested. */
export const taken: Readonly<Record<string, Taken>> = {
  "GET /me": null,
  "GET /projects": null,
  "POST /projects": { json: { name: "Project", description: "Text" } },
  "GET /projects/:project_id": null,
  "PATCH /projects/:project_id": { json: { name: "Other" } },
  "DELETE /projects/:project_id": null,
  "GET /threads": null,
  "POST /threads": { json: { title: "Thread", metadata: {} } },
  "GET /threads/:thread_id": null,
  "PATCH /threads/:thread_id": { json: { title: "Other" } },
  "DELETE /threads/:thread_id": null,
  "GET /threads/:thread_id/messages": null,
  "POST /threads/:thread_id/messages": { json: { content: "Hello", metadata: {} } },
  "GET /threads/:thread_id/messages/:message_id": null,
  "POST /thread/:thread_id/agent/start": { json: { prompt: "Hello", metadata: {} } },
  "GET /thread/:thread_id/agent-runs": null,
  "POST /agent/initiate": { form: { prompt: "Hello" } },
  "GET /agent-runs": null,
  "GET /agent-run/:agent_run_id": null,
  "GET /agent-run/:agent_run_id/steps": null,
  "GET /agent-run/:agent_run_id/stream": null,
  "POST /agent-run/:agent_run_id/stream-ticket": null,
  "POST /agent-run/:agent_run_id/stop": null,
  "POST /agent-run/:agent_run_id/approvals/:tool_call_id": { json: { decision: "approve", digest: "0".repeat(64) } },
  "DELETE /agent-run/:agent_run_id": null,
  "GET /agents": null,
  "POST /agents": { json: { name: "Agent", description: "Text", version: { instructions: "Be brief." } } },
  "GET /agents/:agent_id": null,
  "PATCH /agents/:agent_id": { json: { name: "Other", is_default: true, active_version: 1 } },
  "DELETE /agents/:agent_id": null,
  "GET /agents/:agent_id/versions": null,
  "POST /agents/:agent_id/versions": { json: { instructions: "Be thorough.", tools: null, approvals: {} } },
  "GET /agents/:agent_id/versions/compare": null,
  "GET /agents/:agent_id/versions/:version": null,
  "GET /tools": null,
  "GET /tools/:name": null,
  "PATCH /tools/:name": { json: { enabled: false, description: "Other", approval: "always" } },
  "DELETE /tools/:name/settings": null,
  "GET /mcp-servers": null,
  // Nobody listens there: a server that cannot be asked is no error of a route.
  "POST /mcp-servers": { json: { name: "other", url: "https://mcp.invalid/" } },
  "GET /mcp-servers/:server_id": null,
  "PATCH /mcp-servers/:server_id": { json: { enabled: false, approval: "always" } },
  "DELETE /mcp-servers/:server_id": null,
  "POST /mcp-servers/:server_id/refresh": null,
  "POST /mcp-servers/:server_id/accept": { json: { hash: noTools } },
  "GET /sandboxes/:sandbox_id/ports/:port": null,
  "GET /models": null,
  "GET /billing/check-status": null,
  "GET /billing/balance": null,
  "GET /billing/ledger": null,
};

/** Open to everyone. */
const open = /^\/($|health$|ready$|openapi\.json$|docs(\/|$))/;

const routing = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ":$1");
const canonicalOf = new Map(aliases.map(({ path, of }) => [routing(path), routing(of)]));

/** Every route that asks who you are, aliases included, as the running application has them. */
export const guardedRoutes = (api: ApiUnderTest): TestedRoute[] => {
  const seen = new Map<string, TestedRoute>();
  for (const { method, path: full } of api.app.routes) {
    if (method === "ALL" || !full.startsWith("/api/") || full.startsWith("/api/v1/")) continue;
    const path = full.slice("/api".length);
    if (open.test(path)) continue;
    const canonical = `${method} ${canonicalOf.get(path) ?? path}`;
    if (!(canonical in taken)) throw new Error(`${canonical} is in no test: add it to the table`);
    seen.set(`${method} ${path}`, { method, path, canonical });
  }
  return [...seen.values()];
};

export type Ids = Readonly<Record<string, string>>;

/** New objects of a person, for every kind of id. The run has ended, so that its stream ends, too. */
export const objectsOf = async (api: ApiUnderTest, person: Person, canary = "canary"): Promise<Ids> => {
  const { owner } = api.database;
  const thread = await aThread(owner, { accountId: person.accountId, title: canary });
  const { messageId } = await aMessage(owner, { threadId: thread.threadId, text: canary });
  const { runId } = await aRun(owner, { thread, status: "completed" });
  const { agentId } = await anAgent(owner, { accountId: person.accountId, name: canary });
  return {
    agent_id: agentId,
    version: "1",
    project_id: thread.projectId,
    thread_id: thread.threadId,
    message_id: messageId,
    agent_run_id: runId,
    tool_call_id: await aDecidedCall(owner, { runId, ...person }),
    server_id: await anMcpServer(owner, person),
    name: "calculator",
    ...(await aShownPort(owner, { accountId: person.accountId, projectId: thread.projectId })),
  };
};

/** A port that a worker shows: for the test it is alive, and nobody visits it. */
const aShownPort = async (
  owner: ApiUnderTest["database"]["owner"],
  input: { accountId: string; projectId: string },
): Promise<{ sandbox_id: string; port: string }> => {
  const { rows } = await owner.query<{ id: string }>(
    `with worker as (
       insert into cortex.workers (id, concurrency, heartbeat_at) values ('of previews', 1, now() + interval '1 hour')
       on conflict (id) do update set heartbeat_at = excluded.heartbeat_at returning id
     ), sandbox as (
       insert into cortex.sandboxes (account_id, project_id, provider, state) values ($1, $2, 'local', 'started') returning id
     )
     insert into cortex.exposed_ports (sandbox_id, port, account_id, worker_id, address)
     select sandbox.id, 3000, $1, worker.id, '127.0.0.1:1' from sandbox, worker returning sandbox_id as id`,
    [input.accountId, input.projectId],
  );
  return { sandbox_id: rows[0]?.id ?? "", port: "3000" };
};

/** A server that was asked and offers nothing. */
const anMcpServer = async (owner: ApiUnderTest["database"]["owner"], person: Person): Promise<string> => {
  const { rows } = await owner.query<{ id: string }>(
    "insert into cortex.mcp_servers (account_id, name, url, seen) values ($1, $2, 'https://mcp.invalid/', '[]') returning id",
    [person.accountId, `s${randomBytes(8).toString("hex")}`],
  );
  return rows[0]?.id ?? "";
};

/** A call that the person has approved; the table repeats that decision. */
const aDecidedCall = async (
  owner: ApiUnderTest["database"]["owner"],
  input: { runId: string; accountId: string; userId: string },
): Promise<string> => {
  await owner.query(
    `with call as (
       insert into cortex.tool_calls (run_id, call_id, account_id, step, position, name, arguments, effect, state, attempt)
       values ($1, 'call', $2, 0, 0, 'calculator', '{}', 'pure', 'done', 1)
     )
     insert into cortex.tool_approvals (run_id, call_id, account_id, attempt, digest, decision, decided_by, decided_at)
     values ($1, 'call', $2, 1, repeat('0', 64), 'approve', $3, now())`,
    [input.runId, input.accountId, input.userId],
  );
  return "call";
};

const fill = (path: string, ids: Ids): string =>
  path.replaceAll(/:(\w+)/g, (_, name: string) => ids[name] ?? `no-such-${name}`);

export const ask = (
  api: ApiUnderTest,
  route: TestedRoute,
  input: { ids: Ids; headers?: Record<string, string>; body?: BodyInit | null; as?: Person; prefix?: string },
): Promise<Response> => {
  const wanted = taken[route.canonical] ?? null;
  const headers = new Headers({ ...(input.as ? { authorization: `Bearer ${input.as.token}` } : {}) });
  let { body } = input;
  if (body === undefined && wanted && "form" in wanted) {
    const form = new FormData();
    for (const [name, value] of Object.entries(wanted.form)) form.set(name, value);
    body = form;
  } else if (wanted && "json" in wanted) {
    body ??= JSON.stringify(wanted.json);
    headers.set("content-type", "application/json");
  }
  for (const [name, value] of Object.entries(input.headers ?? {})) headers.set(name, value);
  return fetch(`${api.url}${input.prefix ?? "/api"}${fill(route.path, input.ids)}`, {
    method: route.method,
    headers,
    signal: AbortSignal.timeout(10_000),
    ...(body == null ? {} : { body, duplex: "half" }),
  });
};

/** A hash over every row of the schema: the same before and after means that nothing was written. */
export const fingerprint = async (api: ApiUnderTest): Promise<string> => {
  const { owner } = api.database;
  const tables = await owner.query<{ name: string }>(
    "select tablename as name from pg_tables where schemaname = 'cortex' order by 1",
  );
  const hashes = await Promise.all(
    tables.rows.map(async ({ name }) => {
      const sql = `select count(*) || ' ' || coalesce(md5(string_agg(md5(each::text), '' order by md5(each::text))), '') as hash from cortex.${name} each`;
      const { rows } = await owner.query<{ hash: string }>(sql);
      return `${name} ${rows[0]?.hash}`;
    }),
  );
  return hashes.join("\n");
};
