import { aRun, aThread, createFaultProxy, eventually, type FaultProxy } from "@cortex/testing";
import { inject, afterAll, beforeAll, expect, test } from "vitest";
import { type ApiUnderTest, type Person, startApiUnderTest } from "./testing/api-under-test.ts";
import { openStream } from "./testing/stream-client.ts";

let proxy: FaultProxy;
let api: ApiUnderTest;
let alice: Person;
beforeAll(async () => {
  const { hostname, port } = new URL(inject("services").postgresUrl);
  proxy = await createFaultProxy({ host: hostname, port: Number(port) });
  api = await startApiUnderTest({ postgres: (url) => proxy.through(url) });
  alice = await api.person();
});
afterAll(async () => {
  await api.close();
  await proxy.close();
});

const aThreadOfHers = async () => (await aThread(api.database.owner, { accountId: alice.accountId })).threadId;
const start = (threadId: string, key?: string) =>
  api.call("POST", `/thread/${threadId}/agent/start`, {
    as: alice,
    body: { prompt: "hello" },
    headers: key === undefined ? {} : { "idempotency-key": key },
  });
const unavailable = { status: 503, body: { code: "unavailable", retryable: true } };
const runsOf = async (threadId: string) => {
  const { rows } = await api.database.owner.query<{ id: string }>(
    "select id from cortex.agent_runs where thread_id = $1",
    [threadId],
  );
  return rows.map(({ id }) => id);
};

test("a table that is locked, and a pool that waits for it: 503 with when to try again, and streams go on", async () => {
  const { runId } = await aRun(api.database.owner, { accountId: alice.accountId, status: "running" });
  const place = { runId, attempt: 1, epoch: 1 };
  const at = new Date().toISOString();
  const delta = (text: string) =>
    ({ type: "message.delta", run_id: runId, at, attempt: 1, message_id: crypto.randomUUID(), text }) as never;
  await api.services.eventLog.open({ ...place, events: [delta("before")] });
  const stream = await openStream(api, { runId, as: alice });
  expect((await stream.next())?.data).toContain("before");

  const threadId = await aThreadOfHers();
  const locker = await api.database.owner.connect();
  try {
    await locker.query("begin");
    await locker.query("lock table cortex.threads in access exclusive mode");
    // More than the pool has connections: some wait for the lock, others for a connection.
    const waiting = Promise.all(Array.from({ length: 12 }, () => start(threadId)));
    await api.services.eventLog.append({ ...place, length: 1, events: [delta("meanwhile")] });
    expect((await stream.next())?.data).toContain("meanwhile");
    for (const answer of await waiting) {
      expect(answer).toMatchObject(unavailable);
      expect(Number(answer.headers.get("retry-after"))).toBeGreaterThan(0);
    }
  } finally {
    await locker.query("rollback");
    locker.release();
  }
  expect((await start(threadId)).status).toBe(202);
  stream.abort();
});

test("a start whose commit had no answer: its key gives that run, and without a key the thread names it", async () => {
  const keyed = await aThreadOfHers();
  proxy.breakAt("commit", "answer");
  const lost = await start(keyed, "key-1");
  expect(lost).toMatchObject(unavailable);
  expect(JSON.stringify(lost.body)).toContain("it may have been done");
  const [made] = await runsOf(keyed);
  const again = await start(keyed, "key-1");
  expect(again).toMatchObject({ status: 202, body: { agent_run_id: made } });
  expect(again.headers.get("idempotent-replayed")).toBe("true");
  expect(await runsOf(keyed)).toEqual([made]);

  const unkeyed = await aThreadOfHers();
  proxy.breakAt("commit", "answer");
  expect(await start(unkeyed)).toMatchObject(unavailable);
  const [run] = await runsOf(unkeyed);
  expect(await start(unkeyed)).toMatchObject({ status: 409, body: { code: "thread_busy", agent_run_id: run } });
});

test("a start whose commit never came has done nothing, and the next one starts", async () => {
  const threadId = await aThreadOfHers();
  proxy.breakAt("commit", "request");
  expect(await start(threadId, "key-2")).toMatchObject(unavailable);
  expect(await runsOf(threadId)).toEqual([]);
  // Until Postgres has noticed that the connection is gone, the key counts as in use.
  await eventually(async () => (await start(threadId, "key-2")).status === 202);
  expect(await runsOf(threadId)).toHaveLength(1);
});

test("Postgres is away, and back: 503 at once, then as before", async () => {
  const threadId = await aThreadOfHers();
  await proxy.set("refuse");
  expect(await start(threadId)).toMatchObject(unavailable);
  await proxy.set("pass");
  expect((await start(threadId)).status).toBe(202);
});
