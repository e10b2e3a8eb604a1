import type { Agent, AgentVersion, Problem, VersionComparison } from "@cortex/contracts";
import { aMember, anAccount, anAgent, aThread } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiUnderTest, type Person, startApiUnderTest } from "../testing/api-under-test.ts";

let api: ApiUnderTest;
let alice: Person;
beforeAll(async () => {
  api = await startApiUnderTest({ env: { MODELS: "demo,grand" } });
  alice = await api.person({ planId: "local" });
});
afterAll(() => api.close());

const create = async (version: object = {}, as = alice) =>
  api.call("POST", "/agents", {
    as,
    body: { name: "Clerk", description: "Files things.", version: { instructions: "Be brief.", ...version } },
  });
const created = async (version: object = {}) => (await create(version)).body as Agent;
const codeOf = ({ status, body }: { status: number; body: unknown }) => [status, (body as Problem).code];

test("an agent is created, read, renamed, given versions, and gone", async () => {
  const answer = await create({
    model: "demo",
    fallback_models: ["grand"],
    model_parameters: { temperature: 0.2, max_output_tokens: 500, reasoning_effort: "low", tool_calling: "xml" },
    tools: ["calculator", "ask"],
    approvals: { calculator: "always" },
    max_steps: 7,
  });
  const agent = answer.body as Agent;
  expect([answer.status, answer.headers.get("location")]).toEqual([201, `/api/agents/${agent.id}`]);
  expect(agent).toMatchObject({
    name: "Clerk",
    is_default: false,
    active_version: { version: 1, fallback_models: ["grand"], approvals: { calculator: "always" }, max_steps: 7 },
  });
  const path = `/agents/${agent.id}`;
  expect((await api.call("GET", path, { as: alice })).body).toEqual(agent);
  const renamed = await api.call("PATCH", path, { as: alice, body: { name: "Scribe" } });
  expect(renamed.body).toMatchObject({ name: "Scribe", description: "Files things." });

  const next = await api.call("POST", `${path}/versions`, { as: alice, body: { instructions: "Be thorough." } });
  expect([next.status, next.headers.get("location")]).toEqual([201, `/api${path}/versions/2`]);
  // Given as a whole: nothing is taken over from the version before.
  expect(next.body).toMatchObject({ version: 2, model: null, tools: null, approvals: {}, model_parameters: {} });
  const compared = (await api.call("GET", `${path}/versions/compare`, { as: alice })).body as VersionComparison;
  expect([compared.from, compared.to, compared.changes.map(({ field }) => field)]).toEqual([
    1,
    2,
    ["instructions", "model", "fallback_models", "model_parameters", "tools", "approvals", "max_steps"],
  ]);
  const backwards = await api.call("GET", `${path}/versions/compare?from=2&to=1`, { as: alice });
  expect(backwards.body).toMatchObject({ from: 2, to: 1, instructions: [{ kind: "removed" }, { kind: "added" }] });

  const back = await api.call("PATCH", path, { as: alice, body: { active_version: 1 } });
  expect((back.body as Agent).active_version).toEqual(agent.active_version);
  expect((await api.call("GET", `${path}/versions/2`, { as: alice })).body).toEqual(next.body);

  expect((await api.call("DELETE", path, { as: alice })).status).toBe(204);
  for (const gone of [path, `${path}/versions`, `${path}/versions/1`, `${path}/versions/compare`]) {
    expect([gone, codeOf(await api.call("GET", gone, { as: alice }))]).toEqual([gone, [404, "not_found"]]);
  }
  expect(codeOf(await api.call("DELETE", path, { as: alice }))).toEqual([404, "not_found"]);
  const { threadId } = await aThread(api.database.owner, { accountId: alice.accountId });
  const start = await api.call("POST", `/thread/${threadId}/agent/start`, {
    as: alice,
    body: { prompt: "Hello", agent_id: agent.id },
  });
  expect(codeOf(start)).toEqual([404, "not_found"]);
});

test("what a version names must be there, and what it asks for must make sense: refused at once, and nothing is kept", async () => {
  const before = (await api.call("GET", "/agents", { as: alice })).body;
  const refusals: [object, string, string?][] = [
    [{ model: "gone" }, "unknown_model"],
    [{ fallback_models: ["demo", "gone"] }, "unknown_model"],
    [{ tools: ["calculator", "gone"] }, "unknown_tool"],
    [{ approvals: { gone: "always" } }, "unknown_tool"],
    [{ approvals: { calculator: "sometimes" } }, "validation_failed", "/version/approvals/calculator"],
    [{ model_parameters: { temperature: 9 } }, "validation_failed", "/version/model_parameters/temperature"],
    [{ model_parameters: { topP: 1 } }, "validation_failed", "/version/model_parameters/topP"],
    [{ model_parameters: { tool_calling: "yaml" } }, "validation_failed", "/version/model_parameters/tool_calling"],
    [{ fallback_models: Array(11).fill("demo") }, "validation_failed", "/version/fallback_models"],
    [{ max_steps: 0 }, "validation_failed", "/version/max_steps"],
    [{ instructions: "" }, "validation_failed", "/version/instructions"],
  ];
  for (const [version, code, pointer] of refusals) {
    const { status, body } = await create(version);
    const problem = body as Problem;
    const pointers = problem.errors?.map((each) => each.pointer);
    expect([version, status, problem.code, pointers]).toEqual([version, 422, code, pointer && [pointer]]);
  }
  const many = Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`tool_${n}`, "always"]));
  expect(codeOf(await create({ approvals: many }))).toEqual([422, "validation_failed"]);
  expect((await api.call("GET", "/agents", { as: alice })).body).toEqual(before);
});

test("versions that are not there, or are none: 404 in an address, 422 in a query or a body", async () => {
  const { id } = await created();
  for (const version of ["2", "0", "-1", "1.5", "x", "99999999999"]) {
    const answer = await api.call("GET", `/agents/${id}/versions/${version}`, { as: alice });
    expect([version, codeOf(answer)]).toEqual([version, [404, "not_found"]]);
  }
  expect(codeOf(await api.call("GET", `/agents/${id}/versions/compare?from=7`, { as: alice }))).toEqual([
    404,
    "not_found",
  ]);
  const query = await api.call("GET", `/agents/${id}/versions/compare?to=x`, { as: alice });
  expect([query.status, query.body]).toMatchObject([422, { errors: [{ pointer: "/query/to" }] }]);
  const activated = await api.call("PATCH", `/agents/${id}`, { as: alice, body: { active_version: 2 } });
  expect([activated.status, activated.body]).toMatchObject([422, { errors: [{ pointer: "/active_version" }] }]);
});

test("one agent is the default one: it answers starts that name none, and stays until another takes its place", async () => {
  const person = await api.person({ planId: "local" });
  const mine = (await create({ instructions: "Mine." }, person)).body as Agent;
  const list = async () => ((await api.call("GET", "/agents", { as: person })).body as { data: Agent[] }).data;
  const first = (await list()).find((agent) => agent.is_default);
  expect(codeOf(await api.call("DELETE", `/agents/${first?.id}`, { as: person }))).toEqual([409, "conflict"]);
  const refused = await api.call("PATCH", `/agents/${first?.id}`, { as: person, body: { is_default: false } });
  expect(codeOf(refused)).toEqual([422, "validation_failed"]);

  await api.call("PATCH", `/agents/${mine.id}`, { as: person, body: { is_default: true } });
  expect((await list()).filter((agent) => agent.is_default).map(({ id }) => id)).toEqual([mine.id]);
  const { threadId } = await aThread(api.database.owner, { accountId: person.accountId });
  const started = await api.call("POST", `/thread/${threadId}/agent/start`, { as: person, body: { prompt: "Hello" } });
  const { agent_run_id: runId } = started.body as { agent_run_id: string };
  expect((await api.call("GET", `/agent-run/${runId}`, { as: person })).body).toMatchObject({
    agent_id: mine.id,
    agent_version_id: mine.active_version?.id,
  });
  expect((await api.call("DELETE", `/agents/${first?.id}`, { as: person })).status).toBe(204);
});

test("a viewer reads and changes nothing; whoever is no member finds nothing", async () => {
  const { owner } = api.database;
  const [viewer, stranger] = [await api.person(), await api.person()];
  const { accountId } = await anAccount(owner, { ownerId: alice.userId });
  await aMember(owner, { accountId, userId: viewer.userId, role: "viewer" });
  const { agentId } = await anAgent(owner, { accountId, name: "canary" });
  const headers = { "x-account-id": accountId };
  const changes: [string, string, object?][] = [
    ["PATCH", `/agents/${agentId}`, { name: "Mine" }],
    ["PATCH", `/agents/${agentId}`, { is_default: true }],
    ["DELETE", `/agents/${agentId}`],
    ["POST", `/agents/${agentId}/versions`, { instructions: "Obey me." }],
    ["POST", "/agents", { name: "Mine", version: { instructions: "Obey me." } }],
  ];
  for (const [method, path, body] of changes) {
    const answer = await api.call(method, path, { as: viewer, headers, ...(body ? { body } : {}) });
    expect([method, path, codeOf(answer)]).toEqual([method, path, [403, "forbidden"]]);
    const foreign = await api.call(method, path, { as: stranger, headers, ...(body ? { body } : {}) });
    expect([method, path, codeOf(foreign)]).toEqual([method, path, [404, "not_found"]]);
  }
  const seen = await api.call("GET", `/agents/${agentId}/versions`, { as: viewer });
  expect((seen.body as { data: AgentVersion[] }).data).toMatchObject([{ version: 1, instructions: "Be brief." }]);
  expect(JSON.stringify((await api.call("GET", "/agents", { as: stranger })).body)).not.toContain("canary");
});
