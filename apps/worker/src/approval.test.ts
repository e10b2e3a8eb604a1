import { join } from "node:path";
import { type DecideApproval, isPreviewEvent, type OpenApproval, type RunEvent } from "@cortex/contracts";
import { openDatabase } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { decideApproval } from "@cortex/runs";
import { createTestFolder, eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWorkplace, type WorkerProcess, type Workplace } from "./testing/worker-fixture.ts";

let place: Workplace;
let api: ReturnType<typeof openDatabase>;
let worker: WorkerProcess;
beforeAll(async () => {
  place = await createWorkplace();
  api = openDatabase({ url: place.database.apiUrl, poolSize: 2, name: "test-approvals", log: silentLogger() });
  await place.database.owner.query(
    "insert into cortex.tool_settings (account_id, tool_name, approval) values ($1, 'create_file', 'always')",
    [place.user.accountId],
  );
  // One slot, so that whoever waits in it keeps everybody else out.
  worker = await place.aWorker({ WORKER_CONCURRENCY: "1" });
});
afterAll(async () => {
  await api.close();
  await place.close();
});

const writes = (...files: string[]) =>
  `[[parallel]] [[tool=calculator {"expression":"5+10"}]] ${files
    .map((path) => `[[tool=create_file {"path":"${path}","content":"of the model"}]]`)
    .join(" ")} [[say=done]] ${crypto.randomUUID()}`;

const asked = (runId: string): Promise<OpenApproval[]> =>
  eventually(
    async () => {
      if ((await place.rowOf(runId)).status !== "waiting") return null;
      const said = (await place.events(runId)).findLast((event) => event.type === "run.waiting");
      return said?.approvals ?? null;
    },
    { timeoutMs: 15_000 },
  );

const decide = (runId: string, approval: OpenApproval, body: Partial<DecideApproval> = {}) =>
  decideApproval(
    { db: api.db, checkArguments: () => null, admitSoon: () => undefined },
    {
      runId,
      callId: approval.tool_call_id,
      userId: place.user.userId,
      accountId: null,
      body: { decision: "approve", digest: approval.digest, ...body },
    },
  );

const callsOf = async (runId: string) =>
  (
    await place.database.owner.query<{ state: string; result: string | null; started_at: Date | null }>(
      "select state, result, started_at from cortex.tool_calls where run_id = $1 order by position",
      [runId],
    )
  ).rows;

const durable = (events: readonly RunEvent[]) =>
  events
    .filter((event) => !isPreviewEvent(event) && event.type !== "resync")
    .map(({ at: _at, seq: _seq, ...event }) => ({ ...event, duration_ms: 0 }));

test("approved, changed and rejected, hours later and by another worker: what was decided happens, and the log says all of it", async () => {
  const { runId, threadId } = await place.start(writes("a.txt", "b.txt", "c.txt"));
  const approvals = await asked(runId);
  expect(approvals.map(({ name, arguments: args }) => [name, args])).toEqual(
    ["a.txt", "b.txt", "c.txt"].map((path) => ["create_file", { path, content: "of the model" }]),
  );
  // Nothing of the answer has begun, also what needs nobody; and the slot is free.
  for (const call of await callsOf(runId)) expect(call.started_at).toBeNull();
  const other = await place.start("hello");
  expect(await place.ended(other.runId)).toMatchObject({ status: "completed" });
  expect((await worker.stop()).code).toBe(0);
  // It has noted, with its last heartbeat at the latest, that the log says so: no sweep reads it.
  expect((await place.rowOf(runId)).wait_unlogged_since).toBeNull();
  worker = await place.aWorker({ WORKER_CONCURRENCY: "1" });
  for (const table of ["agent_runs set deadline_at = deadline_at", "run_waits set deadline_at = deadline_at"])
    await place.database.owner.query(
      `update cortex.${table} - interval '30 hours' where ${table.startsWith("a") ? "id" : "run_id"} = $1`,
      [runId],
    );
  await place.database.owner.query(
    "update cortex.run_waits set began_at = began_at - interval '30 hours' where run_id = $1",
    [runId],
  );

  const [a, b, c] = approvals;
  if (!a || !b || !c) throw new Error("three calls wait");
  await decide(runId, a);
  await decide(runId, b, { decision: "reject", comment: "not that one" });
  await decide(runId, c, { decision: "edit", arguments: { path: "d.txt", content: "of a person" } });
  expect(await place.ended(runId)).toMatchObject({ status: "completed", terminal_writes: 1 });
  expect((await callsOf(runId)).map(({ state, result }) => [state, result])).toEqual([
    ["done", "15"],
    ["done", expect.stringContaining("a.txt")],
    ["failed", "A person rejected this call; it was not run. They say: not that one"],
    ["done", expect.stringMatching(/^A person changed [^]*"path":"d.txt"[^]*d\.txt/)],
  ]);
  expect((await place.messages(threadId)).at(-1)?.text).toBe("done");
  const events = await place.expectWholeLog(runId);
  expect(durable(await place.rebuiltLog(runId))).toEqual(durable(events));
});

test("without the policy the same calls run at once: the wait is its doing", async () => {
  await place.database.owner.query("update cortex.tool_settings set approval = 'never'");
  const { runId } = await place.start(writes("free.txt"));
  expect(await place.ended(runId)).toMatchObject({ status: "completed" });
  await place.database.owner.query("update cortex.tool_settings set approval = 'always'");
  expect((await place.events(runId)).map(({ type }) => type)).not.toContain("run.waiting");
});

test("a worker that is killed right after its run began to wait loses no question, and asks none twice", async () => {
  await worker.stop();
  const dying = await place.aWorker({
    FAILPOINTS: "park.after_commit=crash",
    FAILPOINTS_FILE: join(createTestFolder(), "hits"),
  });
  const { runId } = await place.start(writes("late.txt"));
  await eventually(async () => (await place.rowOf(runId)).status === "waiting", { timeoutMs: 15_000 });
  await dying.ended();
  expect((await place.events(runId)).map(({ type }) => type)).not.toContain("run.waiting");
  worker = await place.aWorker();
  // A follower who finds the log lost or short has it from Postgres.
  const said = durable(await place.rebuiltLog(runId)).findLast((event) => event.type === "run.waiting");
  if (said?.type !== "run.waiting") throw new Error("the rebuilt log does not say that it waits");
  for (const approval of said.approvals ?? []) await decide(runId, approval);
  expect(await place.ended(runId, 20_000)).toMatchObject({ status: "completed", terminal_writes: 1 });
  const events = await place.expectWholeLog(runId);
  expect(durable(await place.rebuiltLog(runId))).toEqual(durable(events));
});

test("a stop ends it before anybody decides, and nothing has run", async () => {
  const { runId } = await place.start(writes("never.txt"));
  const [approval] = await asked(runId);
  expect(await place.stop(runId)).toMatchObject({ status: "stopped" });
  expect(await place.rowOf(runId)).toMatchObject({ stop_receipt: { aborted: ["approval of create_file"] } });
  if (!approval) throw new Error("a call waits");
  await expect(decide(runId, approval)).rejects.toMatchObject({ code: "conflict" });
  for (const call of await callsOf(runId)) expect(call.started_at).toBeNull();
});
