import { deleteProject } from "@cortex/accounts";
import { asUser, type Database, openDatabase } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { aGrant, aThread, aUser, createTestDatabase, eventually, type TestDatabase } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startRun, type StartRunInput } from "./start-run.ts";
import { deleteThread } from "./threads.ts";

let database: TestDatabase;
let api: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  api = openDatabase({ url: database.apiUrl, poolSize: 4, name: "test", log: silentLogger() });
});
afterAll(async () => {
  await api.close();
  await database.drop();
});

const waiting = (statements: number) =>
  eventually(async () => {
    const { rows } = await database.owner.query(
      "select 1 from pg_stat_activity where datname = current_database() and usename = 'cortex_api' and wait_event_type = 'Lock'",
    );
    return rows.length === statements;
  });

test.for(["project", "thread"] as const)(
  "a start that has begun and the deletion of its %s: the start wins",
  async (what) => {
    const user = await aUser(database.owner, { planId: "free" });
    const thread = await aThread(database.owner, { accountId: user.accountId });
    await aGrant(database.owner, { accountId: user.accountId, usd: "1" });

    // Somebody holds the account's row: the start stops at the gate, after it has looked at thread and project.
    const holder = await database.owner.connect();
    await holder.query("begin");
    await holder.query("select 1 from cortex.accounts where id = $1 for update", [user.accountId]);
    const input: StartRunInput = {
      userId: user.userId,
      accountId: null,
      threadId: thread.threadId,
      requestId: "test",
      agentId: null,
      model: null,
      prompt: "Hello",
      maxCostUsd: null,
      tools: null,
      metadata: {},
    };
    const deps = { db: api.db, deliver: () => undefined, defaultModel: "demo", checkModel: () => undefined };
    try {
      const start = startRun(deps, input);
      await waiting(1);
      const deletion = asUser(api.db, { userId: user.userId, accountId: null }, (tx) =>
        what === "project" ? deleteProject(tx, thread) : deleteThread(tx, thread),
      ).then(
        (deleted) => ({ deleted }),
        (error: unknown) => error,
      );
      await waiting(2);
      await holder.query("rollback");
      const { agent_run_id: runId } = await start;
      expect(await deletion).toMatchObject({ code: "run_active", details: { agent_run_id: runId } });
    } finally {
      // Ends its transaction, too: a failed test must not leave the database locked.
      holder.release(true);
    }
  },
);
