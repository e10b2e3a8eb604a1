import { randomUUID } from "node:crypto";
import { Thread } from "@cortex/contracts";
import { asUser, type Database, openDatabase, type Tx } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import {
  aMember,
  aMessage,
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
import { listThreads } from "./list-threads.ts";
import { createThread, deleteThread, getThread, updateThread } from "./threads.ts";

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
const nameOfProject = async (projectId: string) => {
  const { rows } = await database.owner.query<{ name: string; account_id: string }>(
    "select name, account_id from cortex.projects where id = $1",
    [projectId],
  );
  return rows[0];
};

test("a thread without a project gets one of its own, named like it", async () => {
  const make = (title: string) =>
    as(user, (tx) => createThread(tx, { caller: caller(user), projectId: null, title, metadata: { a: [1] } }));
  const made = await make("Tides of March");
  expect(Thread.parse(made)).toEqual(made);
  expect(made).toMatchObject({ title: "Tides of March", metadata: { a: [1] }, active_run_id: null });
  expect(await nameOfProject(made.project_id)).toEqual({ name: "Tides of March", account_id: user.accountId });

  expect(await nameOfProject((await make("")).project_id)).toMatchObject({ name: "Untitled" });
  const long = "ß😀".repeat(75);
  expect(await nameOfProject((await make(long.repeat(2))).project_id)).toMatchObject({
    name: long.repeat(2).slice(0, 300),
  });
});

test("a thread in a project, read, changed and deleted", async () => {
  const { projectId } = await aProject(database.owner, { accountId: user.accountId });
  const made = await as(user, (tx) =>
    createThread(tx, { caller: caller(user), projectId, title: "One", metadata: {} }),
  );
  expect(made.project_id).toBe(projectId);
  const read = () => as(user, (tx) => getThread(tx, { threadId: made.id }));
  expect(await read()).toEqual(made);

  const changed = await as(user, (tx) =>
    updateThread(tx, { threadId: made.id, changes: { metadata: { pinned: true } } }),
  );
  expect(changed).toMatchObject({ title: "One", metadata: { pinned: true } });
  const renamed = await as(user, (tx) => updateThread(tx, { threadId: made.id, changes: { title: "" } }));
  expect(renamed).toMatchObject({ title: "", metadata: { pinned: true } });
  expect(await read()).toEqual(renamed);

  await aMessage(database.owner, { threadId: made.id });
  expect(await as(user, (tx) => deleteThread(tx, { threadId: made.id }))).toBe(true);
  expect(await read()).toBeNull();
  expect(await as(user, (tx) => deleteThread(tx, { threadId: made.id }))).toBe(false);
  const { rows } = await database.owner.query("select 1 from cortex.messages where thread_id = $1", [made.id]);
  expect(rows).toEqual([]);
});

test("what JSON can say and Postgres cannot store does not fail", async () => {
  const metadata = { "nul\0": "half \ud83d", list: ["\0"] };
  const made = await as(user, (tx) =>
    createThread(tx, { caller: caller(user), projectId: null, title: "x", metadata }),
  );
  expect(made.metadata).toEqual({ "nul\ufffd": "half \ufffd", list: ["\ufffd"] });
});

test("a thread of another account, or of a deleted project, is missing, whatever is tried with it", async () => {
  const foreign = await aThread(database.owner, { accountId: stranger.accountId, title: "Secret" });
  const orphan = await aThread(database.owner, { accountId: user.accountId, title: "Secret" });
  await database.owner.query("update cortex.projects set deleted_at = now() where id = $1", [orphan.projectId]);
  for (const { threadId, projectId } of [foreign, orphan]) {
    expect(await as(user, (tx) => getThread(tx, { threadId }))).toBeNull();
    expect(await as(user, (tx) => updateThread(tx, { threadId, changes: { title: "Mine" } }))).toBeNull();
    expect(await as(user, (tx) => deleteThread(tx, { threadId }))).toBe(false);
    const into = { caller: caller(user), projectId, title: "Cuckoo", metadata: {} };
    await expect(as(user, (tx) => createThread(tx, into))).rejects.toThrow(withCode("not_found"));
    await expect(as(user, (tx) => listThreads(tx, { caller: caller(user), projectId, limit: 5 }))).rejects.toThrow(
      withCode("not_found"),
    );
    const { rows } = await database.owner.query("select title from cortex.threads where project_id = $1", [projectId]);
    expect(rows).toEqual([{ title: "Secret" }]);
  }
  const listed = await as(user, (tx) => listThreads(tx, { caller: caller(user), projectId: null, limit: 200 }));
  expect(listed.data.map(({ id }) => id)).not.toContain(orphan.threadId);

  const named = caller(user, stranger.accountId);
  const elsewhere = { caller: named, projectId: null, title: "", metadata: {} };
  await expect(as(user, (tx) => createThread(tx, elsewhere), named.accountId)).rejects.toThrow(withCode("not_found"));
  await expect(as(user, (tx) => listThreads(tx, { ...elsewhere, limit: 5 }), named.accountId)).rejects.toThrow(
    withCode("not_found"),
  );
});

test("an account that is named hides the caller's other accounts", async () => {
  const { accountId } = await anAccount(database.owner, { ownerId: user.userId });
  const mine = await aThread(database.owner, { accountId: user.accountId });
  expect(await as(user, (tx) => getThread(tx, { threadId: mine.threadId }), accountId)).toBeNull();
  expect(await as(user, (tx) => getThread(tx, { threadId: mine.threadId }), user.accountId)).not.toBeNull();
});

test("a viewer reads and changes nothing", async () => {
  const { accountId } = await anAccount(database.owner);
  await aMember(database.owner, { accountId, userId: user.userId, role: "viewer" });
  const { threadId, projectId } = await aThread(database.owner, { accountId, title: "Ours" });
  expect(await as(user, (tx) => getThread(tx, { threadId }))).toMatchObject({ title: "Ours" });
  for (const target of [projectId, null]) {
    const into = { caller: caller(user, accountId), projectId: target, title: "", metadata: {} };
    await expect(as(user, (tx) => createThread(tx, into), accountId)).rejects.toThrow(withCode("forbidden"));
  }
  await expect(as(user, (tx) => updateThread(tx, { threadId, changes: {} }))).rejects.toThrow(withCode("forbidden"));
  await expect(as(user, (tx) => deleteThread(tx, { threadId }))).rejects.toThrow(withCode("forbidden"));
});

test("a thread names its active run and is not deleted while it has one", async () => {
  const thread = await aThread(database.owner, { accountId: user.accountId });
  const { threadId } = thread;
  await aRun(database.owner, { thread, status: "completed" });
  const run = await aRun(database.owner, { thread, status: "waiting" });
  const active = async () => (await as(user, (tx) => getThread(tx, { threadId })))?.active_run_id;
  expect(await active()).toBe(run.runId);
  await expect(as(user, (tx) => deleteThread(tx, { threadId }))).rejects.toThrow(
    expect.objectContaining({ code: "run_active", details: { agent_run_id: run.runId } }),
  );
  await database.owner.query("update cortex.agent_runs set status = 'failed' where id = $1", [run.runId]);
  expect(await active()).toBeNull();
  expect(await as(user, (tx) => deleteThread(tx, { threadId }))).toBe(true);
});

test("a deletion waits for a start that holds the thread, and then refuses", async () => {
  const thread = await aThread(database.owner, { accountId: user.accountId });
  const start = await database.owner.connect();
  try {
    await start.query("begin");
    await start.query("select 1 from cortex.threads where id = $1 for update", [thread.threadId]);
    const outcome = as(user, (tx) => deleteThread(tx, { threadId: thread.threadId })).then(
      () => null,
      (error: unknown) => error,
    );
    await eventually(async () => {
      const { rows } = await database.owner.query(
        "select 1 from pg_stat_activity where datname = current_database() and usename = 'cortex_api' and wait_event_type = 'Lock'",
      );
      return rows.length === 1;
    });
    await start.query(
      `insert into cortex.agent_runs (account_id, project_id, thread_id, agent_id, agent_version_id, request_id, model)
       select $1, $2, $3, id, active_version_id, 'test', 'demo' from cortex.agents where account_id = $1 and is_default`,
      [thread.accountId, thread.projectId, thread.threadId],
    );
    await start.query("commit");
    expect(await outcome).toMatchObject({ code: "run_active" });
  } finally {
    start.release();
  }
});

test("threads are listed newest first, of the account or of one project, in pages that lose nothing", async () => {
  const reader = await aUser(database.owner);
  const project = await aProject(database.owner, { accountId: reader.accountId });
  const made: string[] = [];
  for (let n = 0; n < 5; n++) made.unshift((await aThread(database.owner, { project })).threadId);
  const elsewhere = await aThread(database.owner, { accountId: reader.accountId });
  const all = async (projectId: string | null) => {
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof listThreads>> = await as(reader, (tx) =>
        listThreads(tx, { caller: caller(reader), projectId, limit: 2, ...(cursor === null ? {} : { cursor }) }),
      );
      seen.push(...page.data.map((thread) => Thread.parse(thread).id));
      cursor = page.next_cursor;
    } while (cursor !== null);
    return seen;
  };
  expect(await all(project.projectId)).toEqual(made);
  expect(await all(null)).toEqual([elsewhere.threadId, ...made]);
  await expect(
    as(reader, (tx) => listThreads(tx, { caller: caller(reader), projectId: null, limit: 2, cursor: randomUUID() })),
  ).rejects.toThrow(withCode("invalid_cursor"));
});
