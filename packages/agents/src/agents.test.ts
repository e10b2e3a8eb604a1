import { randomUUID } from "node:crypto";
import { Agent, AgentVersion, CreateAgent, CreateAgentVersion } from "@cortex/contracts";
import { asUser, type Database, openDatabase, type Tx } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import {
  aMember,
  anAccount,
  aRun,
  aThread,
  aUser,
  createTestDatabase,
  type TestDatabase,
  type TestUser,
} from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { changeAgent, deleteAgent } from "./change-agent.ts";
import { createAgent, createVersion } from "./create-agent.ts";
import { getAgent, listAgents } from "./read-agents.ts";
import { getVersions, listVersions } from "./read-versions.ts";
import { resolveAgentForRun } from "./resolve-agent.ts";

let database: TestDatabase;
let api: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  api = openDatabase({ url: database.apiUrl, poolSize: 8, name: "test", log: silentLogger() });
});
afterAll(async () => {
  await api.close();
  await database.drop();
});

const as = <Result>(who: TestUser, work: (tx: Tx) => Promise<Result>) =>
  asUser(api.db, { userId: who.userId, accountId: null }, work);
const settings = (instructions: string, rest: Partial<CreateAgentVersion> = {}) =>
  CreateAgentVersion.parse({ instructions, ...rest });
const anAgent = (who: TestUser, name: string) =>
  as(who, (tx) =>
    createAgent(tx, {
      accountId: who.accountId,
      ...CreateAgent.parse({ name, version: { instructions: "Be brief." } }),
    }),
  );

test("every account has a default agent, and a run that names none gets it", async () => {
  const user = await aUser(database.owner);
  const agent = await as(user, (tx) => resolveAgentForRun(tx, { accountId: user.accountId, agentId: null }));
  expect(agent).toMatchObject({ model: null, tools: null, maxSteps: 50, modelParameters: {} });
  const [listed] = (await as(user, (tx) => listAgents(tx, { accountId: user.accountId, limit: 5 }))).data;
  expect(listed).toMatchObject({
    id: agent?.agentId,
    is_default: true,
    active_version: { id: agent?.versionId, version: 1 },
  });
});

test("an agent is made with its first version, and a run may name it", async () => {
  const user = await aUser(database.owner);
  const made = await anAgent(user, "Clerk");
  expect(Agent.parse(made)).toEqual(made);
  expect(made).toMatchObject({
    name: "Clerk",
    is_default: false,
    active_version: { version: 1, instructions: "Be brief." },
  });
  expect(await as(user, (tx) => getAgent(tx, { agentId: made.id }))).toMatchObject({
    id: made.id,
    active_version: made.active_version,
  });
  expect(await as(user, (tx) => resolveAgentForRun(tx, { accountId: user.accountId, agentId: made.id }))).toEqual({
    agentId: made.id,
    versionId: made.active_version?.id,
    instructions: "Be brief.",
    model: null,
    modelParameters: {},
    tools: null,
    maxSteps: 50,
  });
});

test("a run of one account never gets an agent of another one of the same user", async () => {
  const user = await aUser(database.owner);
  const { accountId } = await anAccount(database.owner, { ownerId: user.userId });
  const personal = await anAgent(user, "Clerk");
  const resolve = (agentId: string | null) => as(user, (tx) => resolveAgentForRun(tx, { accountId, agentId }));
  const { rows } = await database.owner.query("select id from cortex.agents where account_id = $1", [accountId]);
  expect(rows).toEqual([{ id: (await resolve(null))?.agentId }]);
  expect(await resolve(personal.id)).toBeNull();
});

test("a new version is active from now on, and the old one stays as it was", async () => {
  const user = await aUser(database.owner);
  const { id: agentId, active_version: first } = await anAgent(user, "Clerk");
  const next = settings("Be thorough.", {
    model: "grand",
    model_parameters: { temperature: 0.2 },
    tools: ["calculator"],
    max_steps: 7,
  });
  const second = await as(user, (tx) => createVersion(tx, { agentId, ...next }));
  expect(AgentVersion.parse(second)).toEqual(second);
  expect(second).toMatchObject({ version: 2, ...next });
  expect(await as(user, (tx) => resolveAgentForRun(tx, { accountId: user.accountId, agentId }))).toMatchObject({
    versionId: second?.id,
    model: "grand",
    modelParameters: { temperature: 0.2 },
    tools: ["calculator"],
    maxSteps: 7,
  });
  const { rows } = await database.owner.query("select instructions from cortex.agent_versions where id = $1", [
    first?.id,
  ]);
  expect(rows).toEqual([{ instructions: "Be brief." }]);
});

test("versions made at the same moment are numbered without gap or duplicate", async () => {
  const user = await aUser(database.owner);
  const { id: agentId } = await anAgent(user, "Clerk");
  const made = await Promise.all(
    Array.from({ length: 6 }, (_, n) => as(user, (tx) => createVersion(tx, { agentId, ...settings(`${n}`) }))),
  );
  expect(new Set(made.map((version) => version?.version))).toEqual(new Set([2, 3, 4, 5, 6, 7]));
});

test("a version never changes, whoever asks", async () => {
  const user = await aUser(database.owner);
  const { active_version: version } = await anAgent(user, "Clerk");
  const change = (tx: Tx) =>
    tx
      .updateTable("agent_versions")
      .set({ instructions: "Be somebody else." })
      .where("id", "=", version?.id ?? "")
      .execute();
  await expect(as(user, change)).rejects.toThrow("permission denied");
  await expect(
    database.owner.query("update cortex.agent_versions set instructions = 'x' where id = $1", [version?.id]),
  ).rejects.toThrow("never change");
});

test("agents of another account are missing, and a viewer makes none", async () => {
  const [user, stranger] = await Promise.all([aUser(database.owner), aUser(database.owner)]);
  const foreign = await anAgent(stranger, "Secret");
  const agentId = foreign.id;
  const { accountId } = user;
  expect(await as(user, (tx) => getAgent(tx, { agentId }))).toBeNull();
  expect(await as(user, (tx) => createVersion(tx, { agentId, ...settings("Mine") }))).toBeNull();
  expect(await as(user, (tx) => resolveAgentForRun(tx, { accountId, agentId }))).toBeNull();
  expect(await as(user, (tx) => resolveAgentForRun(tx, { accountId: stranger.accountId, agentId }))).toBeNull();
  expect(await as(user, (tx) => resolveAgentForRun(tx, { accountId, agentId: randomUUID() }))).toBeNull();
  expect((await as(user, (tx) => listAgents(tx, { accountId: stranger.accountId, limit: 5 }))).data).toEqual([]);

  const team = await anAccount(database.owner, { ownerId: stranger.userId });
  await aMember(database.owner, { accountId: team.accountId, userId: user.userId, role: "viewer" });
  const ours = await as(user, (tx) => listAgents(tx, { accountId: team.accountId, limit: 5 }));
  const [agent] = ours.data;
  await expect(as(user, (tx) => createVersion(tx, { agentId: agent?.id ?? "", ...settings("No") }))).rejects.toThrow(
    expect.objectContaining({ code: "forbidden" }),
  );
  await expect(
    as(user, (tx) =>
      createAgent(tx, { accountId: team.accountId, name: "No", description: "", version: settings("No") }),
    ),
  ).rejects.toThrow("row-level security");
});

test("agents are listed newest first, in pages", async () => {
  const user = await aUser(database.owner);
  for (const name of ["one", "two", "three"]) await anAgent(user, name);
  const page = (cursor?: string) =>
    as(user, (tx) =>
      listAgents(tx, { accountId: user.accountId, limit: 3, ...(cursor === undefined ? {} : { cursor }) }),
    );
  const first = await page();
  expect(first.data.map(({ name }) => name)).toEqual(["three", "two", "one"]);
  const second = await page(first.next_cursor ?? "");
  expect(second).toMatchObject({ data: [{ name: "Cortex" }], next_cursor: null });
  await expect(page("x")).rejects.toThrow(expect.objectContaining({ code: "invalid_cursor" }));
});

test("an account has one default agent at any time, however many become it at once, and it cannot be deleted", async () => {
  const user = await aUser(database.owner);
  const agents = await Promise.all(["a", "b", "c", "d"].map((name) => anAgent(user, name)));
  await Promise.all(
    agents.map(({ id: agentId }) => as(user, (tx) => changeAgent(tx, { agentId, changes: { is_default: true } }))),
  );
  const { data } = await as(user, (tx) => listAgents(tx, { accountId: user.accountId, limit: 9 }));
  const defaults = data.filter((agent) => agent.is_default);
  expect(defaults).toHaveLength(1);
  const [{ id: agentId } = { id: "" }] = defaults;
  await expect(as(user, (tx) => deleteAgent(tx, { agentId }))).rejects.toMatchObject({ code: "conflict" });
  expect(await as(user, (tx) => resolveAgentForRun(tx, { accountId: user.accountId, agentId: null }))).toMatchObject({
    agentId,
  });
});

test("a deleted agent is gone for everybody but its runs: they and their version stay", async () => {
  const user = await aUser(database.owner);
  const { id: agentId, active_version: version } = await anAgent(user, "Clerk");
  const thread = await aThread(database.owner, { accountId: user.accountId });
  const { runId } = await aRun(database.owner, { thread, status: "completed" });
  await database.owner.query("update cortex.agent_runs set agent_id = $2, agent_version_id = $3 where id = $1", [
    runId,
    agentId,
    version?.id,
  ]);
  expect(await as(user, (tx) => deleteAgent(tx, { agentId }))).toBe(true);
  const gone = await as(user, async (tx) => [
    await deleteAgent(tx, { agentId }),
    await getAgent(tx, { agentId }),
    await changeAgent(tx, { agentId, changes: { name: "Back" } }),
    await createVersion(tx, { agentId, ...settings("Back") }),
    await getVersions(tx, { agentId, versions: [1] }),
    await listVersions(tx, { agentId, limit: 5 }),
    await resolveAgentForRun(tx, { accountId: user.accountId, agentId }),
  ]);
  expect(gone).toEqual([false, null, null, null, null, null, null]);
  const { rows } = await database.owner.query(
    `select instructions from cortex.agent_runs join cortex.agent_versions on agent_versions.id = agent_version_id where agent_runs.id = $1`,
    [runId],
  );
  expect(rows).toEqual([{ instructions: "Be brief." }]);
  await expect(as(user, (tx) => tx.deleteFrom("agents").where("id", "=", agentId).execute())).rejects.toThrow(
    "permission denied",
  );
  await expect(
    database.owner.query("delete from cortex.agent_versions where agent_id = $1", [agentId]),
  ).rejects.toThrow("foreign key");
  // With its account everything goes.
  await database.owner.query("delete from auth.users where id = $1", [user.userId]);
  expect((await database.owner.query("select 1 from cortex.agent_runs where id = $1", [runId])).rowCount).toBe(0);
});

test("versions are listed newest first, in pages; an older one can be active again, one that is not there cannot", async () => {
  const user = await aUser(database.owner);
  const { id: agentId } = await anAgent(user, "Clerk");
  for (const text of ["2", "3"]) await as(user, (tx) => createVersion(tx, { agentId, ...settings(text) }));
  const page = (cursor?: string) =>
    as(user, (tx) => listVersions(tx, { agentId, limit: 2, ...(cursor === undefined ? {} : { cursor }) }));
  const first = await page();
  expect(first?.data.map(({ version }) => version)).toEqual([3, 2]);
  expect(await page(first?.next_cursor ?? "")).toMatchObject({ data: [{ version: 1 }], next_cursor: null });
  await expect(page("x")).rejects.toMatchObject({ code: "invalid_cursor" });

  const activate = (version: number) =>
    as(user, (tx) => changeAgent(tx, { agentId, changes: { active_version: version } }));
  expect(await activate(1)).toMatchObject({ active_version: { version: 1, instructions: "Be brief." } });
  await expect(activate(4)).rejects.toMatchObject({ code: "validation_failed" });
  const next = await as(user, (tx) => createVersion(tx, { agentId, ...settings("4") }));
  expect(next?.version).toBe(4);
});
