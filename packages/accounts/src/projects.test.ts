import { randomUUID } from "node:crypto";
import { Project } from "@cortex/contracts";
import { asUser, type Database, openDatabase, type Tx } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import {
  aMember,
  anAccount,
  aProject,
  aRun,
  aThread,
  aUser,
  createTestDatabase,
  eventually,
  type TestDatabase,
  type TestUser,
} from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { listProjects } from "./list-projects.ts";
import { createProject, deleteProject, getProject, updateProject } from "./projects.ts";

let database: TestDatabase;
let api: Database;
let user: TestUser;
let stranger: TestUser;
beforeAll(async () => {
  database = await createTestDatabase();
  api = openDatabase({ url: database.apiUrl, poolSize: 8, name: "test", log: silentLogger() });
  [user, stranger] = await Promise.all([aUser(database.owner), aUser(database.owner)]);
});
afterAll(async () => {
  await api.close();
  await database.drop();
});

const as = <Result>(who: TestUser, work: (tx: Tx) => Promise<Result>, accountId: string | null = null) =>
  asUser(api.db, { userId: who.userId, accountId }, work);
const caller = (who: TestUser, accountId: string | null = null) => ({ userId: who.userId, accountId });
const withCode = (code: string): unknown => expect.objectContaining({ code });

test("a project is made in the personal account, read, changed and deleted", async () => {
  const made = await as(user, (tx) => createProject(tx, { caller: caller(user), name: "Tides", description: "" }));
  expect(Project.parse(made)).toEqual(made);
  expect(made).toMatchObject({ account_id: user.accountId, name: "Tides", description: "", sandbox_id: null });

  const read = () => as(user, (tx) => getProject(tx, { projectId: made.id }));
  expect(await read()).toEqual(made);

  const changed = await as(user, (tx) =>
    updateProject(tx, { projectId: made.id, changes: { description: "High and low" } }),
  );
  expect(changed).toMatchObject({ id: made.id, name: "Tides", description: "High and low" });
  expect(await read()).toEqual(changed);

  expect(await as(user, (tx) => deleteProject(tx, { projectId: made.id }))).toBe(true);
  expect(await read()).toBeNull();
  expect(await as(user, (tx) => updateProject(tx, { projectId: made.id, changes: { name: "Ebb" } }))).toBeNull();
  expect(await as(user, (tx) => deleteProject(tx, { projectId: made.id }))).toBe(false);
});

test("the living sandbox of a project is shown, a deleted one is not", async () => {
  const { projectId } = await aProject(database.owner, { accountId: user.accountId });
  const sandbox = async (state: string) => {
    const { rows } = await database.owner.query<{ id: string }>(
      "insert into cortex.sandboxes (account_id, project_id, provider, state) values ($1, $2, 'local', $3) returning id",
      [user.accountId, projectId, state],
    );
    return rows[0]?.id;
  };
  const shown = async () => (await as(user, (tx) => getProject(tx, { projectId })))?.sandbox_id;
  await sandbox("deleted");
  expect(await shown()).toBeNull();
  const living = await sandbox("stopped");
  expect(await shown()).toBe(living);
});

test("a project of another account is missing, whatever is tried with it", async () => {
  const { projectId } = await aProject(database.owner, { accountId: stranger.accountId, name: "Secret" });
  expect(await as(user, (tx) => getProject(tx, { projectId }))).toBeNull();
  expect(await as(user, (tx) => updateProject(tx, { projectId, changes: { name: "Mine" } }))).toBeNull();
  expect(await as(user, (tx) => deleteProject(tx, { projectId }))).toBe(false);
  for (const accountId of [stranger.accountId, randomUUID()]) {
    const named = caller(user, accountId);
    await expect(
      as(user, (tx) => createProject(tx, { caller: named, name: "Cuckoo", description: "" }), accountId),
    ).rejects.toThrow(withCode("not_found"));
    await expect(as(user, (tx) => listProjects(tx, { caller: named, limit: 5 }), accountId)).rejects.toThrow(
      withCode("not_found"),
    );
  }
  const { rows } = await database.owner.query("select name, deleted_at from cortex.projects where account_id = $1", [
    stranger.accountId,
  ]);
  expect(rows).toEqual([{ name: "Secret", deleted_at: null }]);
});

test("a viewer reads and changes nothing", async () => {
  const { accountId } = await anAccount(database.owner);
  await aMember(database.owner, { accountId, userId: user.userId, role: "viewer" });
  const { projectId } = await aProject(database.owner, { accountId, name: "Ours" });
  expect(await as(user, (tx) => getProject(tx, { projectId }))).toMatchObject({ name: "Ours" });
  const named = caller(user, accountId);
  await expect(
    as(user, (tx) => createProject(tx, { caller: named, name: "No", description: "" }), accountId),
  ).rejects.toThrow(withCode("forbidden"));
  await expect(as(user, (tx) => updateProject(tx, { projectId, changes: { name: "No" } }))).rejects.toThrow(
    withCode("forbidden"),
  );
  await expect(as(user, (tx) => deleteProject(tx, { projectId }))).rejects.toThrow(withCode("forbidden"));
  const listed = await as(user, (tx) => listProjects(tx, { caller: named, limit: 5 }), accountId);
  expect(listed.data.map(({ name }) => name)).toEqual(["Ours"]);
});

test("a project with a run that has not ended is not deleted", async () => {
  const thread = await aThread(database.owner, { accountId: user.accountId });
  const run = await aRun(database.owner, { thread, status: "running" });
  const { projectId } = thread;
  const attempt = () => as(user, (tx) => deleteProject(tx, { projectId }));
  await expect(attempt()).rejects.toThrow(
    expect.objectContaining({ code: "run_active", details: { agent_run_id: run.runId } }),
  );
  expect(await as(user, (tx) => getProject(tx, { projectId }))).not.toBeNull();
  await database.owner.query("update cortex.agent_runs set status = 'stopped' where id = $1", [run.runId]);
  expect(await attempt()).toBe(true);
});

test("a deletion waits for a start that has inserted its run, and then refuses", async () => {
  const thread = await aThread(database.owner, { accountId: user.accountId });
  const start = await database.owner.connect();
  try {
    await start.query("begin");
    await start.query(
      `insert into cortex.agent_runs (account_id, project_id, thread_id, agent_id, agent_version_id, request_id, model)
       select $1, $2, $3, id, active_version_id, 'test', 'demo' from cortex.agents where account_id = $1 and is_default`,
      [thread.accountId, thread.projectId, thread.threadId],
    );
    const deletion = as(user, (tx) => deleteProject(tx, { projectId: thread.projectId }));
    const outcome = deletion.then(
      () => null,
      (error: unknown) => error,
    );
    await eventually(async () => {
      const { rows } = await database.owner.query(
        "select 1 from pg_stat_activity where datname = current_database() and usename = 'cortex_api' and wait_event_type = 'Lock'",
      );
      return rows.length === 1;
    });
    await start.query("commit");
    expect(await outcome).toMatchObject({ code: "run_active" });
  } finally {
    start.release();
  }
});

test("lists are newest first, and complete and free of duplicates while others add to them", async () => {
  const reader = await aUser(database.owner);
  // One transaction, so one created_at for several rows: only the id tells them apart.
  await database.owner.query(
    "insert into cortex.projects (account_id, name) select $1, 'same moment ' || n from generate_series(1, 7) n",
    [reader.accountId],
  );
  for (let n = 0; n < 4; n++) await aProject(database.owner, { accountId: reader.accountId, name: `later ${n}` });
  const { rows: expected } = await database.owner.query<{ id: string }>(
    "select id from cortex.projects where account_id = $1 order by created_at desc, id desc",
    [reader.accountId],
  );

  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof listProjects>> = await as(reader, (tx) =>
      listProjects(tx, { caller: caller(reader), limit: 3, ...(cursor === null ? {} : { cursor }) }),
    );
    seen.push(...page.data.map(({ id }) => id));
    cursor = page.next_cursor;
    await aProject(database.owner, { accountId: reader.accountId, name: "in between" });
  } while (cursor !== null);
  expect(seen).toEqual(expected.map(({ id }) => id));
});

test("a page that ends with the list has no next one, and an empty account an empty list", async () => {
  const reader = await aUser(database.owner);
  const page = () => as(reader, (tx) => listProjects(tx, { caller: caller(reader), limit: 2 }));
  expect(await page()).toEqual({ data: [], next_cursor: null });
  for (let n = 0; n < 2; n++) await aProject(database.owner, { accountId: reader.accountId });
  expect(await page()).toMatchObject({ data: [{}, {}], next_cursor: null });
});

test.for(["", "x", "MTIz", "!!!", Buffer.from(`99999999999999999999.${randomUUID()}`).toString("base64url")])(
  "'%s' is no cursor",
  async (cursor) => {
    await expect(as(user, (tx) => listProjects(tx, { caller: caller(user), limit: 2, cursor }))).rejects.toThrow(
      withCode("invalid_cursor"),
    );
  },
);
