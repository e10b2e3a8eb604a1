import type { Problem, ToolInfo, UpdateToolSettings } from "@cortex/contracts";
import { aMember, anAccount, anAgent } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiUnderTest, type Person, startApiUnderTest } from "../testing/api-under-test.ts";

let api: ApiUnderTest;
let admin: Person;
let member: Person;
let viewer: Person;
let stranger: Person;
let team: string;
let agentId: string;
beforeAll(async () => {
  api = await startApiUnderTest();
  const { owner } = api.database;
  [admin, member, viewer, stranger] = [await api.person(), await api.person(), await api.person(), await api.person()];
  team = (await anAccount(owner)).accountId;
  await aMember(owner, { accountId: team, userId: admin.userId, role: "admin" });
  await aMember(owner, { accountId: team, userId: member.userId, role: "member" });
  await aMember(owner, { accountId: team, userId: viewer.userId, role: "viewer" });
  agentId = (await anAgent(owner, { accountId: team })).agentId;
});
afterAll(() => api.close());

const headers = () => ({ "x-account-id": team });
const ofAgent = () => `?agent_id=${agentId}`;
const read = async (name: string, query = "", as = member) =>
  (await api.call("GET", `/tools/${name}${query}`, { as, headers: headers() })).body as ToolInfo;
const set = (name: string, changes: UpdateToolSettings, as: Person, query = "") =>
  api.call("PATCH", `/tools/${name}${query}`, { as, body: changes, headers: headers() });
const versionOf = async (accountId: string) =>
  (
    await api.database.owner.query<{ n: number }>("select tools_version as n from cortex.accounts where id = $1", [
      accountId,
    ])
  ).rows[0]?.n ?? 0;

test("every tool is listed as its file declares it, until somebody says otherwise", async () => {
  const { body } = await api.call("GET", "/tools", { as: member, headers: headers() });
  const { data } = body as { data: ToolInfo[] };
  expect(data.map(({ name }) => name)).toEqual(api.services.choices.tools.map(({ name }) => name));
  for (const tool of data) {
    const { description, approval } = tool;
    expect(tool).toMatchObject({
      source: "built_in",
      enabled: true,
      defaults: { description, approval },
      decided_by: { enabled: "tool", description: "tool", approval: "tool" },
      settings: { account: null, agent: null },
    });
  }
});

test("what an account says holds for its agents, what an agent says for itself, and nothing of it elsewhere", async () => {
  const before = await versionOf(team);
  const said = await set("calculator", { description: "  Adds up. ", approval: "if_tainted" }, admin);
  expect([said.status, said.body]).toMatchObject([200, { description: "Adds up.", approval: "if_tainted" }]);
  expect(await read("calculator", ofAgent())).toMatchObject({
    description: "Adds up.",
    decided_by: { description: "account", approval: "account" },
  });
  const stricter = await set("calculator", { enabled: false, approval: "always" }, member, ofAgent());
  expect(stricter.body).toMatchObject({
    enabled: false,
    description: "Adds up.",
    approval: "always",
    decided_by: { enabled: "agent", description: "account", approval: "agent" },
    settings: {
      account: { enabled: null, description: "Adds up.", approval: "if_tainted" },
      agent: { enabled: false, description: null, approval: "always" },
    },
  });
  expect(await read("calculator")).toMatchObject({ enabled: true, approval: "if_tainted", settings: { agent: null } });
  expect((await api.call("GET", "/tools/calculator", { as: member })).body).toMatchObject({
    settings: { account: null, agent: null },
  });
  // What runs are told.
  expect(await versionOf(team)).toBe(before + 2);

  // What is left out stays, null takes back, and DELETE takes back everything.
  expect((await set("calculator", { enabled: null }, member, ofAgent())).body).toMatchObject({
    enabled: true,
    approval: "always",
  });
  for (const [query, as] of [
    [ofAgent(), member],
    ["", admin],
  ] as const) {
    const answer = await api.call("DELETE", `/tools/calculator/settings${query}`, { as, headers: headers() });
    expect(answer.status).toBe(204);
  }
  expect(await read("calculator", ofAgent())).toMatchObject({
    decided_by: { enabled: "tool", description: "tool", approval: "tool" },
    settings: { account: null, agent: null },
  });
  expect(await versionOf(team)).toBe(before + 5);
});

test("an agent cannot loosen what its account says, nor what its version leaves out", async () => {
  await set("ask", { enabled: false, approval: "always" }, admin);
  const tried = await set("ask", { enabled: true, approval: "never" }, member, ofAgent());
  expect([tried.status, tried.body]).toMatchObject([
    200,
    { enabled: false, approval: "always", decided_by: { enabled: "account", approval: "account" } },
  ]);
  const version = { instructions: "Compute.", tools: ["calculator"], approvals: { calculator: "always" } };
  await api.call("POST", `/agents/${agentId}/versions`, { as: member, body: version });
  expect(await read("calculator", ofAgent())).toMatchObject({
    enabled: true,
    approval: "always",
    decided_by: { approval: "agent_version" },
  });
  expect(await read("complete", ofAgent())).toMatchObject({
    enabled: false,
    decided_by: { enabled: "agent_version" },
  });
});

test("who may: admins for the account, members for its agents, viewers nothing, and strangers see nothing", async () => {
  const before = await versionOf(team);
  const tries: [Person, string, number][] = [
    [member, "", 403],
    [viewer, "", 403],
    [viewer, ofAgent(), 403],
    [stranger, "", 404],
    [stranger, ofAgent(), 404],
  ];
  for (const [as, query, status] of tries) {
    const patched = await set("complete", { enabled: false }, as, query);
    const reset = await api.call("DELETE", `/tools/complete/settings${query}`, { as, headers: headers() });
    expect([query, patched.status, reset.status]).toEqual([query, status, status]);
  }
  // The same without naming the account: an agent's account is its own.
  expect((await api.call("GET", `/tools${ofAgent()}`, { as: stranger })).status).toBe(404);
  expect((await api.call("GET", `/tools${ofAgent()}`, { as: viewer })).status).toBe(200);
  expect(await versionOf(team)).toBe(before);
});

test("an unknown tool, an empty or endless description, a wrong approval: refused with its place", async () => {
  expect((await set("telegraph", { enabled: false }, admin)).status).toBe(404);
  expect((await set("x".repeat(200), { enabled: false }, admin)).status).toBe(404);
  const wrong: [object, string][] = [
    [{ description: "  " }, "/description"],
    [{ description: "x".repeat(4_001) }, "/description"],
    [{ approval: "sometimes" }, "/approval"],
    [{ enabled: "yes" }, "/enabled"],
    [{ parameters: {} }, "/parameters"],
  ];
  for (const [body, pointer] of wrong) {
    const answer = await api.call("PATCH", "/tools/calculator", { as: admin, body, headers: headers() });
    const { errors } = answer.body as Problem;
    expect([body, answer.status, errors?.map((each) => each.pointer)]).toEqual([body, 422, [pointer]]);
  }
  const longest = await set("calculator", { description: "x".repeat(4_000) }, admin);
  expect((longest.body as ToolInfo).description).toHaveLength(4_000);
});
