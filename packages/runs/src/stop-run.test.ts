import { type Database, openDatabase } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { aMember, anAccount, aRun, aUser, createTestDatabase, type TestDatabase } from "@cortex/testing";
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from "vitest";
import { stopRun } from "./stop-run.ts";

let database: TestDatabase;
let api: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  api = openDatabase({ url: database.apiUrl, poolSize: 2, name: "test", log: silentLogger() });
});
afterAll(async () => {
  await api.close();
  await database.drop();
});

/** Stops as a user; says, too, whom that would have told. */
const stop = async (userId: string, runId: string) => {
  const told: string[] = [];
  const deps = {
    db: api.db,
    announceStop: (run: string) => void told.push(run),
    closeLog: (run: { runId: string }) => void told.push(run.runId),
  };
  const outcome = await stopRun(deps, { userId, accountId: null, runId }).catch((error: unknown) => error);
  return { outcome, told };
};

test.for(["queued", "running", "waiting"] as const)(
  "a viewer does not stop a %s run, nor tell its worker to",
  async (status) => {
    const viewer = await aUser(database.owner);
    const { accountId } = await anAccount(database.owner);
    await aMember(database.owner, { accountId, userId: viewer.userId, role: "viewer" });
    const { runId } = await aRun(database.owner, { accountId, status });
    expect(await stop(viewer.userId, runId)).toMatchObject({ outcome: { code: "forbidden" }, told: [] });
    const { rows } = await database.owner.query(
      "select status, stop_requested_at from cortex.agent_runs where id = $1",
      [runId],
    );
    expect(rows).toEqual([{ status, stop_requested_at: null }]);
  },
);

test("a stranger finds no run to stop, and a run that has ended stays what it is", async () => {
  const user = await aUser(database.owner);
  const foreign = await aRun(database.owner, { status: "running" });
  expect(await stop(user.userId, foreign.runId)).toEqual({ outcome: null, told: [] });
  const ended = await aRun(database.owner, { accountId: user.accountId, status: "completed" });
  expect(await stop(user.userId, ended.runId)).toEqual({
    outcome: { status: "completed", stop_requested_at: null },
    told: [],
  });
});

test("a receipt goes by the clock of the database alone, whatever this machine believes", async () => {
  const { accountId, userId } = await aUser(database.owner);
  const { runId } = await aRun(database.owner, { accountId, status: "queued" });
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - 3_600_000 });
  onTestFinished(() => void vi.useRealTimers());
  expect((await stop(userId, runId)).outcome).toMatchObject({ status: "stopped" });
  const { rows } = await database.owner.query(
    `select (stop_receipt->>'stopped_at')::timestamptz >= (stop_receipt->>'requested_at')::timestamptz as in_order
     from cortex.agent_runs where id = $1`,
    [runId],
  );
  expect(rows).toEqual([{ in_order: true }]);
});
