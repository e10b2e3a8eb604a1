import { compareVersions, createVersion, getAgent, getVersions, listVersions } from "@cortex/agents";
import {
  AgentId,
  AgentVersion,
  CreateAgentVersion,
  ListQuery,
  page,
  VersionComparison,
  VersionNumber,
} from "@cortex/contracts";
import { asUser } from "@cortex/db";
import { createRoute, z } from "@hono/zod-openapi";
import { answerOnce } from "../answer-once.ts";
import type { Api } from "../request-context.ts";
import { creates, found, json, jsonBody, problems, secured } from "../route-parts.ts";
import type { ApiServices } from "../services.ts";

const common = { tags: ["agents"], security: secured };
const params = z.object({ agent_id: AgentId });

const list = createRoute({
  ...common,
  method: "get",
  path: "/agents/{agent_id}/versions",
  operationId: "listAgentVersions",
  summary: "The versions of an agent, newest first",
  request: { params, query: ListQuery },
  responses: { 200: json(page(AgentVersion), "A page of versions"), ...problems("not_found", "invalid_cursor") },
});

const create = createRoute({
  ...common,
  ...creates,
  method: "post",
  path: "/agents/{agent_id}/versions",
  operationId: "createAgentVersion",
  summary: "A new version, active from now on; runs that have started keep theirs",
  description: "A version is given as a whole: what is left out has its default, not the value of the version before.",
  request: { params, ...jsonBody(CreateAgentVersion) },
  responses: {
    201: json(AgentVersion, "The new version"),
    ...problems("not_found", "forbidden", "unknown_model", "unknown_tool"),
  },
});

const compare = createRoute({
  ...common,
  method: "get",
  path: "/agents/{agent_id}/versions/compare",
  operationId: "compareAgentVersions",
  summary: "What differs between two versions",
  request: {
    params,
    query: z.object({
      from: VersionNumber.optional().openapi({ description: "Left out: the version before `to`" }),
      to: VersionNumber.optional().openapi({ description: "Left out: the active version" }),
    }),
  },
  responses: {
    200: json(VersionComparison, "The fields that differ, and how the instructions changed"),
    ...problems("not_found"),
  },
});

const get = createRoute({
  ...common,
  method: "get",
  path: "/agents/{agent_id}/versions/{version}",
  operationId: "getAgentVersion",
  summary: "A version, by its number",
  request: { params: params.extend({ version: VersionNumber }) },
  responses: { 200: json(AgentVersion, "The version"), ...problems("not_found") },
});

export const registerAgentVersions = (api: Api, { db, choices }: ApiServices): void => {
  api.openapi(list, async (c) => {
    const { agent_id: agentId } = c.req.valid("param");
    const query = c.req.valid("query");
    const versions = await asUser(db, c.get("caller"), (tx) => listVersions(tx, { agentId, ...query }));
    return c.json(found(versions, "agent"), 200);
  });

  api.openapi(create, async (c) => {
    const { agent_id: agentId } = c.req.valid("param");
    const body = c.req.valid("json");
    choices.checkVersion(body);
    const once = answerOnce(c, { status: 201 });
    const version = await asUser(db, c.get("caller"), (tx) =>
      once(tx, async () => found(await createVersion(tx, { agentId, ...body }), "agent")),
    );
    return c.json(version, 201, { location: `/api/agents/${agentId}/versions/${version.version}` });
  });

  // Before the route of one version, which would take the word for a number.
  api.openapi(compare, async (c) => {
    const { agent_id: agentId } = c.req.valid("param");
    const query = c.req.valid("query");
    const [from, to] = await asUser(db, c.get("caller"), async (tx) => {
      const agent = found(await getAgent(tx, { agentId }), "agent");
      const last = query.to ?? agent.active_version?.version ?? 1;
      const first = query.from ?? Math.max(last - 1, 1);
      const both = (await getVersions(tx, { agentId, versions: [first, last] })) ?? [];
      return [first, last].map((number) => both.find(({ version }) => version === number) ?? null);
    });
    return c.json(compareVersions(found(from ?? null, "version"), found(to ?? null, "version")), 200);
  });

  api.openapi(get, async (c) => {
    const { agent_id: agentId, version } = c.req.valid("param");
    const versions = await asUser(db, c.get("caller"), (tx) => getVersions(tx, { agentId, versions: [version] }));
    return c.json(found(found(versions, "agent")[0] ?? null, "version"), 200);
  });
};
