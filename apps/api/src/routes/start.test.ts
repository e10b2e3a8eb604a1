import { InitiatedRun, type Problem, Run, StartedRun } from "@cortex/contracts";
import { silentLogger } from "@cortex/observability";
import { createConsumer } from "@cortex/queue";
import { aGrant, aMember, aMessage, anAccount, aProject, aRun, aThread, aWorker, eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiUnderTest, type Person, startApiUnderTest } from "../testing/api-under-test.ts";
import { fingerprint } from "../testing/route-table.ts";

let api: ApiUnderTest;
let alice: Person;
beforeAll(async () => {
  api = await startApiUnderTest({ env: { MODELS: "demo,large", DEFAULT_MODEL: "demo" } });
  alice = await api.person();
});
afterAll(() => api.close());

const owner = () => api.database.owner;
const aThreadOf = async (person: Person) => (await aThread(owner(), { accountId: person.accountId })).threadId;
const start = (threadId: string, body: unknown, as = alice, headers: Record<string, string> = {}) =>
  api.call("POST", `/thread/${threadId}/agent/start`, { as, body, headers });

/** The start is refused with this, and nothing was written. */
const expectRefused = async (refused: () => Promise<{ status: number; body: unknown }>, problem: Partial<Problem>) => {
  const before = await fingerprint(api);
  const answer = await refused();
  expect([answer.status, answer.body]).toMatchObject([problem.status, problem]);
  expect(await fingerprint(api)).toBe(before);
};

test("a start with a prompt appends the message, answers at once, and the run is readable", async () => {
  const threadId = await aThreadOf(alice);
  const body = {
    prompt: "What is 5 + 10?",
    model: "large",
    budget: { max_cost_usd: "0.5" },
    tools: ["calculator"],
    metadata: { from: "test" },
  };
  const answer = await start(threadId, body, alice, { "x-request-id": "req-1" });
  expect(answer.status).toBe(202);
  const started = StartedRun.parse(answer.body);
  expect(started).toEqual({ agent_run_id: started.agent_run_id, thread_id: threadId, status: "queued" });
  expect(answer.headers.get("location")).toBe(`/api/agent-run/${started.agent_run_id}`);
  expect(answer.headers.get("x-request-id")).toBe("req-1");

  const run = Run.parse((await api.call("GET", `/agent-run/${started.agent_run_id}`, { as: alice })).body);
  expect(run).toMatchObject({
    account_id: alice.accountId,
    status: "queued",
    model: "large",
    budget: { max_cost_usd: "0.5" },
    metadata: { from: "test" },
    request_id: "req-1",
    queue: { reason: "no_workers" },
  });
  const messages = await api.call("GET", `/threads/${threadId}/messages`, { as: alice });
  expect(messages.body).toMatchObject({ data: [{ role: "user", content: [{ text: "What is 5 + 10?" }] }] });
  for (const path of [`/thread/${threadId}/agent-runs`, `/agent-runs?thread_id=${threadId}&status=queued`]) {
    expect((await api.call("GET", path, { as: alice })).body).toMatchObject({
      data: [{ id: run.id }],
      next_cursor: null,
    });
  }
  const steps = await api.call("GET", `/agent-run/${run.id}/steps`, { as: alice });
  expect(steps.body).toMatchObject({ data: [{ type: "user-request", order: 0 }], next_cursor: null });
});

test("a start without a body runs on what the thread holds, with the default model", async () => {
  const threadId = await aThreadOf(alice);
  await aMessage(owner(), { threadId, text: "Hello" });
  const url = `${api.url}/api/thread/${threadId}/agent/start`;
  const response = await fetch(url, { method: "POST", headers: { authorization: `Bearer ${alice.token}` } });
  expect(response.status).toBe(202);
  const { agent_run_id: id } = StartedRun.parse(await response.json());
  expect((await api.call("GET", `/agent-run/${id}`, { as: alice })).body).toMatchObject({
    model: "demo",
    budget: null,
  });
});

test("a started run reaches the fleet, and only then", async () => {
  const person = await api.person();
  const delivered: string[] = [];
  const { workerId } = await aWorker(owner());
  const consumer = createConsumer(
    { redisUrl: api.redis.url, prefix: api.queuePrefix, concurrency: 2, workerId, log: silentLogger() },
    async ({ runId }) => {
      delivered.push(runId);
      return { kind: "done" };
    },
  );
  try {
    const threadId = await aThreadOf(person);
    const { agent_run_id: id } = StartedRun.parse((await start(threadId, { prompt: "Hello" }, person)).body);
    await eventually(() => delivered.includes(id));
    const waiting = await api.call("GET", `/agent-run/${id}`, { as: person });
    expect(waiting.body).toMatchObject({ queue: { position: 0, reason: "admitted" } });
  } finally {
    await consumer.close();
    await owner().query("delete from cortex.workers where id = $1", [workerId]);
  }
});

test("initiate makes project, thread, message and run in one go, or nothing", async () => {
  const form = new FormData();
  form.set("prompt", "Plan a garden\nwith herbs");
  form.set("model", "large");
  const headers = { authorization: `Bearer ${alice.token}`, "idempotency-key": "garden" };
  const send = () => fetch(`${api.url}/api/agent/initiate`, { method: "POST", headers, body: form });
  const response = await send();
  expect(response.status).toBe(202);
  const made = InitiatedRun.parse(await response.json());
  expect((await api.call("GET", `/threads/${made.thread_id}`, { as: alice })).body).toMatchObject({
    project_id: made.project_id,
    title: "Plan a garden",
    active_run_id: made.agent_run_id,
  });
  // Another boundary, the same form.
  const again = await send();
  expect([again.status, await again.json()]).toEqual([202, made]);

  form.set("model", "unheard-of");
  const refused = () =>
    fetch(`${api.url}/api/agent/initiate`, {
      method: "POST",
      headers: { authorization: headers.authorization },
      body: form,
    });
  await expectRefused(
    async () => {
      const answer = await refused();
      return { status: answer.status, body: await answer.json() };
    },
    { status: 422, code: "unknown_model" },
  );
});

test("a busy thread: 409 with the run that is in the way", async () => {
  const threadId = await aThreadOf(alice);
  const { agent_run_id: id } = StartedRun.parse((await start(threadId, { prompt: "First" })).body);
  const busy = { status: 409, code: "thread_busy" as const, agent_run_id: id, retryable: true };
  await expectRefused(() => start(threadId, { prompt: "Second" }), busy);
  await expectRefused(() => api.call("DELETE", `/threads/${threadId}`, { as: alice }), {
    status: 409,
    code: "run_active",
  });
  await expectRefused(() => api.call("DELETE", `/agent-run/${id}`, { as: alice }), { status: 409, code: "run_active" });
});

test("an empty thread, a deleted project, an unknown agent, model or tool: named", async () => {
  const empty = await aThreadOf(alice);
  await expectRefused(() => start(empty, {}), { status: 409, code: "thread_empty" });
  const prompt = "Hello";
  const agent_id = crypto.randomUUID();
  await expectRefused(() => start(empty, { prompt, agent_id }), { status: 404, code: "not_found" });
  await expectRefused(() => start(empty, { prompt, model: "unheard-of" }), { status: 422, code: "unknown_model" });
  await expectRefused(() => start(empty, { prompt, tools: ["hammer"] }), { status: 422, code: "unknown_tool" });

  const project = await aProject(owner(), { accountId: alice.accountId });
  const { threadId } = await aThread(owner(), { project });
  await api.call("DELETE", `/projects/${project.projectId}`, { as: alice });
  await expectRefused(() => start(threadId, { prompt }), { status: 409, code: "project_deleted" });
});

test("no credits: 402; too many runs: 429 with when to try again; both as check-status says", async () => {
  const person = await api.person({ planId: "free" });
  const threadId = await aThreadOf(person);
  await expectRefused(() => start(threadId, { prompt: "Hello" }, person), {
    status: 402,
    code: "insufficient_credits",
  });
  const poor = await api.call("GET", "/billing/check-status", { as: person });
  expect(poor.body).toMatchObject({ can_run: false, code: "insufficient_credits", balance_usd: "0", plan: "free" });

  await aGrant(owner(), { accountId: person.accountId, usd: "1" });
  for (let each = 0; each < 3; each++) {
    expect((await start(await aThreadOf(person), { prompt: "Hello" }, person)).status).toBe(202);
  }
  await expectRefused(() => start(threadId, { prompt: "Hello" }, person), { status: 429, code: "too_many_runs" });
  const refused = await start(threadId, { prompt: "Hello" }, person);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(refused.headers.get("ratelimit")).toContain("too_many_runs");
  const full = await api.call("GET", "/billing/check-status", { as: person });
  expect(full.body).toMatchObject({ can_run: false, code: "too_many_runs", balance_usd: "0.85" });
  expect((await api.call("GET", "/billing/balance", { as: person })).body).toEqual({ balance_usd: "0.85" });
  const ledger = await api.call("GET", "/billing/ledger?limit=1", { as: person });
  expect(ledger.body).toMatchObject({
    data: [{ kind: "reserve", amount_usd: "-0.05" }],
    next_cursor: expect.any(String) as unknown,
  });
});

test("a model that the plan does not include: 403", async () => {
  await owner().query(
    "insert into cortex.plans select 'small', 'Small', unlimited, reserve_usd, max_parallel_runs, max_active_runs, '{demo}' from cortex.plans where id = 'local'",
  );
  const person = await api.person({ planId: "small" });
  const threadId = await aThreadOf(person);
  const asked = { prompt: "Hello", model: "large" };
  await expectRefused(() => start(threadId, asked, person), { status: 403, code: "model_not_in_plan" });
  expect((await start(threadId, { prompt: "Hello" }, person)).status).toBe(202);
});

test("a viewer reads what members do and starts, posts, stops and deletes nothing: 403", async () => {
  const viewer = await api.person();
  const { accountId } = await anAccount(owner(), { ownerId: alice.userId });
  await aMember(owner(), { accountId, userId: viewer.userId, role: "viewer" });
  const thread = await aThread(owner(), { accountId });
  const { runId } = await aRun(owner(), { thread });
  const other = await aThread(owner(), { accountId });
  expect((await api.call("GET", `/agent-run/${runId}`, { as: viewer })).status).toBe(200);
  const forbidden = { status: 403, code: "forbidden" as const };
  const acts: [string, string, unknown?][] = [
    ["POST", `/thread/${other.threadId}/agent/start`, { prompt: "Hello" }],
    ["POST", `/threads/${other.threadId}/messages`, { content: "Hello" }],
    ["PATCH", `/threads/${other.threadId}`, { title: "Mine" }],
    ["DELETE", `/threads/${other.threadId}`],
    ["DELETE", `/agent-run/${runId}`],
    ["POST", `/agent-run/${runId}/stop`],
  ];
  for (const [method, path, body] of acts) {
    await expectRefused(
      () => api.call(method, path, { as: viewer, ...(body === undefined ? {} : { body }) }),
      forbidden,
    );
  }
  const form = new FormData();
  form.set("prompt", "Hello");
  await expectRefused(async () => {
    const headers = { authorization: `Bearer ${viewer.token}`, "x-account-id": accountId };
    const answer = await fetch(`${api.url}/api/agent/initiate`, { method: "POST", headers, body: form });
    return { status: answer.status, body: await answer.json() };
  }, forbidden);
  const headers = { "x-account-id": accountId };
  await expectRefused(() => api.call("POST", "/projects", { as: viewer, body: { name: "x" }, headers }), forbidden);
});

test("a start with an Idempotency-Key starts one run, also when asked ten times at once", async () => {
  const threadId = await aThreadOf(alice);
  const headers = { "idempotency-key": crypto.randomUUID() };
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => start(threadId, { prompt: "Once" }, alice, headers)),
  );
  const codes = new Set(
    answers.map(({ status, body }) => (status === 202 ? "202" : `${status} ${(body as Problem).code}`)),
  );
  expect([...codes].filter((code) => code !== "202" && code !== "409 idempotency_key_in_use")).toEqual([]);
  const ids = new Set(
    answers.filter(({ status }) => status === 202).map(({ body }) => (body as StartedRun).agent_run_id),
  );
  expect(ids.size).toBe(1);
  const again = await start(threadId, { prompt: "Once" }, alice, headers);
  expect([again.status, (again.body as StartedRun).agent_run_id]).toEqual([202, [...ids][0]]);
  const runs = await owner().query("select 1 from cortex.agent_runs where thread_id = $1", [threadId]);
  expect(runs.rowCount).toBe(1);
});

test("a stop of a waiting run ends it; it is the same however often it is asked; an ended run may be deleted", async () => {
  const threadId = await aThreadOf(alice);
  const { agent_run_id: id } = StartedRun.parse((await start(threadId, { prompt: "Hello" })).body);
  const first = await api.call("POST", `/agent-run/${id}/stop`, { as: alice });
  expect([first.status, first.body]).toEqual([
    202,
    { status: "stopped", stop_requested_at: expect.any(String) as unknown },
  ]);
  expect((await api.call("POST", `/agent-run/${id}/stop`, { as: alice })).body).toEqual(first.body);
  expect((await api.call("GET", `/agent-run/${id}`, { as: alice })).body).toMatchObject({
    status: "stopped",
    stop: { receipt: { aborted: [], charged_usd: "0" } },
    queue: null,
  });
  expect((await api.call("DELETE", `/agent-run/${id}`, { as: alice })).status).toBe(204);
  expect((await api.call("GET", `/agent-run/${id}`, { as: alice })).status).toBe(404);
  expect((await api.call("GET", `/threads/${threadId}/messages`, { as: alice })).body).toMatchObject({
    data: [{ seq: 0 }],
  });
});

test("a run starts while Redis is away: it only waits longer", async () => {
  const alone = await startApiUnderTest({ env: { REDIS_URL: "redis://127.0.0.1:1" } });
  try {
    const person = await alone.person();
    const { threadId } = await aThread(alone.database.owner, { accountId: person.accountId });
    const answer = await alone.call("POST", `/thread/${threadId}/agent/start`, {
      as: person,
      body: { prompt: "Hello" },
    });
    expect(answer.status).toBe(202);
  } finally {
    await alone.close();
  }
});
