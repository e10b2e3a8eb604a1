import { randomUUID } from "node:crypto";
import { type ListRunsQuery, Run } from "@cortex/contracts";
import { asUser, type Database, openDatabase, type Tx } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import {
  aMember,
  anAccount,
  aRun,
  aThread,
  aUser,
  aWorker,
  createTestDatabase,
  type TestDatabase,
  type TestUser,
} from "@cortex/testing";
import { afterAll, beforeEach, expect, test } from "vitest";
import { listRuns } from "./list-runs.ts";
import { getRun } from "./run-view.ts";

// Position and reason depend on everything that waits: each test has a database of its own.
let database: TestDatabase;
let api: Database;
const closings: (() => Promise<void>)[] = [];
beforeEach(async () => {
  const own = await createTestDatabase();
  const opened = openDatabase({ url: own.apiUrl, poolSize: 4, name: "test", log: silentLogger() });
  [database, api] = [own, opened];
  closings.push(() => opened.close().then(() => own.drop()));
});
afterAll(async () => {
  for (const close of closings) await close();
});

const as = <Result>(who: TestUser, work: (tx: Tx) => Promise<Result>, accountId: string | null = null) =>
  asUser(api.db, { userId: who.userId, accountId }, work);
const list = (who: TestUser, query: Partial<ListRunsQuery> = {}, accountId: string | null = null) =>
  as(who, (tx) => listRuns(tx, { limit: 50, ...query }), accountId);
const get = (who: TestUser, runId: string) => as(who, (tx) => getRun(tx, { runId }));

test("a run that has ended, with all there is to say of it", async () => {
  const user = await aUser(database.owner);
  const made = await aRun(database.owner, { accountId: user.accountId, status: "stopped", attempt: 3, model: "grand" });
  const usage = {
    input_tokens: 12,
    cached_input_tokens: 1,
    cache_write_tokens: 0,
    output_tokens: 5,
    reasoning_tokens: 2,
    estimated: false,
  };
  const receipt = {
    requested_at: "2026-11-20T09:00:00.000Z",
    stopped_at: "2026-11-20T09:00:01.000Z",
    aborted: ["model_call"],
    killed: [],
    charged_usd: "0.5",
  };
  await database.owner.query(
    `update cortex.agent_runs set usage = $2, cost_usd = 0.5, max_cost_usd = 2, metadata = '{"a":1}', stop_requested_at = $3, stop_receipt = $4
     where id = $1`,
    [made.runId, JSON.stringify(usage), receipt.requested_at, JSON.stringify(receipt)],
  );
  const run = await get(user, made.runId);
  expect(Run.parse(run)).toEqual(run);
  expect(run).toMatchObject({
    id: made.runId,
    thread_id: made.threadId,
    project_id: made.projectId,
    account_id: user.accountId,
    status: "stopped",
    // The end raised the attempt once more, so that nobody could write after it.
    attempt: 2,
    model: "grand",
    usage,
    cost_usd: "0.5",
    budget: { max_cost_usd: "2" },
    error: null,
    stop: { requested_at: receipt.requested_at, receipt },
    queue: null,
    metadata: { a: 1 },
  });
  expect((await list(user)).data).toEqual([run]);
});

test("a run that failed says why", async () => {
  const user = await aUser(database.owner);
  const { runId } = await aRun(database.owner, { accountId: user.accountId, status: "failed" });
  const error = { code: "model_timeout", message: "silence", retryable: true };
  await database.owner.query("update cortex.agent_runs set error = $2 where id = $1", [runId, JSON.stringify(error)]);
  expect(await get(user, runId)).toMatchObject({ status: "failed", error, stop: null, budget: null });
});

test("a run that waits says how many are ahead and why; the list says the same", async () => {
  const [user, other] = await Promise.all([
    aUser(database.owner, { planId: "local" }),
    aUser(database.owner, { planId: "free" }),
  ]);
  const first = await aRun(database.owner, { accountId: user.accountId });
  const second = await aRun(database.owner, { accountId: user.accountId });
  const admitted = await aRun(database.owner, { accountId: user.accountId, admitted: true });
  const running = await aRun(database.owner, { accountId: other.accountId, status: "running" });
  const limited = await aRun(database.owner, { accountId: other.accountId });
  const queues = async () => {
    const shown = new Map<string, Run["queue"]>();
    for (const who of [user, other]) {
      for (const run of (await list(who)).data) {
        expect(await get(who, run.id)).toEqual(run);
        shown.set(run.id, run.queue);
      }
    }
    return shown;
  };

  const nobody = await queues();
  expect(nobody.get(first.runId)).toEqual({ position: 0, reason: "no_workers" });
  expect(nobody.get(running.runId)).toBeNull();

  await aWorker(database.owner, { concurrency: 1 });
  const busy = await queues();
  expect(busy.get(first.runId)).toEqual({ position: 0, reason: "workers_busy" });
  expect(busy.get(second.runId)).toEqual({ position: 1, reason: "workers_busy" });
  expect(busy.get(admitted.runId)).toEqual({ position: 0, reason: "admitted" });
  expect(busy.get(limited.runId)).toMatchObject({ reason: "account_limit" });
});

test("a running run whose lease is over waits for its takeover, and for nothing once it is taken up", async () => {
  const user = await aUser(database.owner, { planId: "local" });
  const orphan = await aRun(database.owner, { accountId: user.accountId, status: "running", leaseMs: -1 });
  const held = await aRun(database.owner, { accountId: user.accountId, status: "running" });
  const ended = await aRun(database.owner, { accountId: user.accountId, status: "completed", leaseMs: -1 });
  const shown = async () => {
    const queues = new Map((await list(user)).data.map(({ id, queue }) => [String(id), queue]));
    for (const { runId } of [orphan, held, ended]) expect((await get(user, runId))?.queue).toEqual(queues.get(runId));
    return [orphan, held, ended].map(({ runId }) => queues.get(runId));
  };
  expect(await shown()).toEqual([{ position: 0, reason: "takeover" }, null, null]);
  await database.owner.query("update cortex.agent_runs set lease_until = now() + interval '1 minute' where id = $1", [
    orphan.runId,
  ]);
  expect(await shown()).toEqual([null, null, null]);
});

test("runs are listed newest first over all accounts of the caller, or of the named one", async () => {
  const user = await aUser(database.owner);
  const { accountId } = await anAccount(database.owner);
  await aMember(database.owner, { accountId, userId: user.userId, role: "viewer" });
  await aRun(database.owner);
  const personal = await aRun(database.owner, { accountId: user.accountId });
  const team = await aRun(database.owner, { accountId });
  const ids = async (account: string | null) => (await list(user, {}, account)).data.map(({ id }) => id);
  expect(await ids(null)).toEqual([team.runId, personal.runId]);
  expect(await ids(accountId)).toEqual([team.runId]);
  expect(await ids(user.accountId)).toEqual([personal.runId]);
  expect(await ids(randomUUID())).toEqual([]);
});

test("lists are narrowed by status and thread, and come in pages that lose nothing", async () => {
  const user = await aUser(database.owner);
  const thread = await aThread(database.owner, { accountId: user.accountId });
  const made: string[] = [];
  for (let n = 0; n < 5; n++) made.unshift((await aRun(database.owner, { thread, status: "completed" })).runId);
  await aRun(database.owner, { thread, status: "failed" });
  await aRun(database.owner, { accountId: user.accountId, status: "completed" });
  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof listRuns>> = await list(user, {
      status: "completed",
      thread_id: thread.threadId as NonNullable<ListRunsQuery["thread_id"]>,
      limit: 2,
      ...(cursor === null ? {} : { cursor }),
    });
    seen.push(...page.data.map(({ id }) => id));
    cursor = page.next_cursor;
  } while (cursor !== null);
  expect(seen).toEqual(made);
  await expect(list(user, { cursor: "1.5" })).rejects.toThrow(expect.objectContaining({ code: "invalid_cursor" }));
});

test("a run of another account, or of a deleted project, is missing", async () => {
  const user = await aUser(database.owner);
  const foreign = await aRun(database.owner, { status: "completed" });
  const orphan = await aRun(database.owner, { accountId: user.accountId, status: "completed" });
  await database.owner.query("update cortex.projects set deleted_at = now() where id = $1", [orphan.projectId]);
  expect(await get(user, foreign.runId)).toBeNull();
  expect(await get(user, orphan.runId)).toBeNull();
  expect((await list(user)).data).toEqual([]);
});
