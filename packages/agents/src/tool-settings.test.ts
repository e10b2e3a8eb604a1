import { asUser, type Database, openDatabase, type Tx } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import {
  aMember,
  anAccount,
  anAgent,
  aUser,
  createTestDatabase,
  type TestDatabase,
  type TestUser,
} from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { changeToolSettings, readToolSettings, readToolSettingsForRun, resetToolSettings } from "./tool-settings.ts";

let database: TestDatabase;
let api: Database;
let worker: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  api = openDatabase({ url: database.apiUrl, poolSize: 8, name: "test", log: silentLogger() });
  worker = openDatabase({ url: database.workerUrl, poolSize: 1, name: "test-worker", log: silentLogger() });
});
afterAll(async () => {
  await Promise.all([api.close(), worker.close()]);
  await database.drop();
});

const as = <Result>(who: TestUser, work: (tx: Tx) => Promise<Result>) =>
  asUser(api.db, { userId: who.userId, accountId: null }, work);

test("the second wall: members set what holds for agents, those who manage the account what holds for all of it, viewers nothing", async () => {
  const { accountId } = await anAccount(database.owner);
  const { agentId } = await anAgent(database.owner, { accountId });
  const outcomes: Record<string, string> = {};
  for (const role of ["owner", "admin", "member", "viewer", "nobody"] as const) {
    const user = await aUser(database.owner);
    if (role !== "nobody") await aMember(database.owner, { accountId, userId: user.userId, role });
    for (const agent of [null, agentId]) {
      const place = { accountId, agentId: agent, toolName: `of_${role}` };
      outcomes[`${role} ${agent === null ? "account" : "agent"}`] = await as(user, (tx) =>
        changeToolSettings(tx, { ...place, changes: { enabled: false } }),
      ).then(
        () => "set",
        (error: unknown) => (error instanceof Error && error.message.includes("row-level security") ? "refused" : "?"),
      );
      // Whoever may not set it cannot take back what others have set either.
      const of = { accountId, agentId: agent, toolName: "of_owner" };
      if (role === "viewer" || role === "nobody") await as(user, (tx) => resetToolSettings(tx, of));
    }
  }
  expect(outcomes).toEqual({
    "owner account": "set",
    "owner agent": "set",
    "admin account": "set",
    "admin agent": "set",
    "member account": "refused",
    "member agent": "set",
    "viewer account": "refused",
    "viewer agent": "refused",
    "nobody account": "refused",
    "nobody agent": "refused",
  });
  const { settings } = await readToolSettingsForRun(worker.db, { accountId, agentId });
  expect(settings.map(({ tool_name: name, agent_id: of }) => [name, of])).toEqual([
    ["of_admin", agentId],
    ["of_admin", null],
    ["of_member", agentId],
    ["of_owner", agentId],
    ["of_owner", null],
  ]);
});

test("fields are set one by one, also by two who say something for the first time at once; the number grows with each", async () => {
  const user = await aUser(database.owner);
  const { accountId } = user;
  const place = { accountId, agentId: null, toolName: "calculator" };
  const read = () => as(user, (tx) => readToolSettings(tx, { accountId, agentId: null }));
  const { version } = await read();
  await Promise.all([
    as(user, (tx) => changeToolSettings(tx, { ...place, changes: { enabled: false } })),
    as(user, (tx) => changeToolSettings(tx, { ...place, changes: { description: "Adds up." } })),
    as(user, (tx) => changeToolSettings(tx, { ...place, changes: { approval: "always" } })),
  ]);
  const said = { tool_name: "calculator", agent_id: null, enabled: false, description: "Adds up.", approval: "always" };
  expect(await read()).toEqual({ version: version + 3, settings: [said] });
  await as(user, (tx) => changeToolSettings(tx, { ...place, changes: { description: null } }));
  expect(await read()).toEqual({ version: version + 4, settings: [{ ...said, description: null }] });
  await as(user, (tx) => resetToolSettings(tx, place));
  expect(await read()).toEqual({ version: version + 5, settings: [] });
});

test("what is said for one agent holds for no other, and an agent of another account is none", async () => {
  const user = await aUser(database.owner);
  const { accountId } = user;
  const other = (await anAccount(database.owner, { ownerId: user.userId })).accountId;
  const [mine, twin] = [await anAgent(database.owner, { accountId }), await anAgent(database.owner, { accountId })];
  const set = (agentId: string, of = accountId) =>
    as(user, (tx) =>
      changeToolSettings(tx, { accountId: of, agentId, toolName: "calculator", changes: { enabled: false } }),
    );
  await set(mine.agentId);
  const read = async (agentId: string | null) =>
    (await as(user, (tx) => readToolSettings(tx, { accountId, agentId }))).settings.length;
  expect([await read(mine.agentId), await read(twin.agentId), await read(null)]).toEqual([1, 0, 0]);
  await expect(set(mine.agentId, other)).rejects.toThrow("foreign key");
});
