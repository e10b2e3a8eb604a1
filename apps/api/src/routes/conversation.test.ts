import { Message, page, Project, Run, Thread } from "@cortex/contracts";
import { aMember, anAccount, aRun, aThread } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiUnderTest, type Person, startApiUnderTest } from "../testing/api-under-test.ts";

let api: ApiUnderTest;
let alice: Person;
beforeAll(async () => {
  api = await startApiUnderTest();
  alice = await api.person();
});
afterAll(() => api.close());

test("a project is created, read, changed, listed and deleted", async () => {
  const created = await api.call("POST", "/projects", { as: alice, body: { name: "Garden" } });
  expect(created.status).toBe(201);
  const project = Project.parse(created.body);
  expect(created.headers.get("location")).toBe(`/api/projects/${project.id}`);
  expect(project).toMatchObject({ account_id: alice.accountId, name: "Garden", description: "", sandbox_id: null });

  const changed = await api.call("PATCH", `/projects/${project.id}`, { as: alice, body: { description: "Herbs" } });
  expect([changed.status, Project.parse(changed.body)]).toMatchObject([200, { name: "Garden", description: "Herbs" }]);
  expect((await api.call("GET", `/projects/${project.id}`, { as: alice })).body).toEqual(changed.body);
  const listed = page(Project).parse((await api.call("GET", "/projects?limit=10", { as: alice })).body);
  expect(listed).toEqual({ data: [changed.body], next_cursor: null });

  expect((await api.call("DELETE", `/projects/${project.id}`, { as: alice })).status).toBe(204);
  expect((await api.call("GET", `/projects/${project.id}`, { as: alice })).status).toBe(404);
  expect((await api.call("DELETE", `/projects/${project.id}`, { as: alice })).status).toBe(404);
});

test("a thread and its messages are created, read, changed, listed and deleted", async () => {
  const created = await api.call("POST", "/threads", { as: alice, body: { title: "Soup", metadata: { hot: [1] } } });
  expect(created.status).toBe(201);
  const thread = Thread.parse(created.body);
  expect(thread).toMatchObject({ title: "Soup", metadata: { hot: [1] }, active_run_id: null });

  const posted = await api.call("POST", `/threads/${thread.id}/messages`, { as: alice, body: { content: "Salt?" } });
  expect(posted.status).toBe(201);
  const message = Message.parse(posted.body);
  expect(message).toMatchObject({ seq: 0, role: "user", content: [{ type: "text", text: "Salt?" }], run_id: null });
  const one = await api.call("GET", `/threads/${thread.id}/messages/${message.id}`, { as: alice });
  expect(one.body).toEqual(posted.body);
  await api.call("POST", `/threads/${thread.id}/messages`, { as: alice, body: { content: "Pepper?" } });

  const first = page(Message).parse(
    (await api.call("GET", `/threads/${thread.id}/messages?limit=1`, { as: alice })).body,
  );
  expect(first.data.map((each) => each.seq)).toEqual([0]);
  const next = `/threads/${thread.id}/messages?limit=1&cursor=${first.next_cursor}`;
  const second = page(Message).parse((await api.call("GET", next, { as: alice })).body);
  expect([second.data.map((each) => each.seq), second.next_cursor]).toEqual([[1], null]);

  const renamed = await api.call("PATCH", `/threads/${thread.id}`, { as: alice, body: { title: "Stew" } });
  expect(renamed.body).toMatchObject({ title: "Stew", metadata: { hot: [1] } });
  const ofProject = await api.call("GET", `/threads?project_id=${thread.project_id}`, { as: alice });
  expect(
    page(Thread)
      .parse(ofProject.body)
      .data.map((each) => each.id),
  ).toEqual([thread.id]);

  expect((await api.call("DELETE", `/threads/${thread.id}`, { as: alice })).status).toBe(204);
  expect((await api.call("GET", `/threads/${thread.id}/messages`, { as: alice })).status).toBe(404);
});

test("a creating request with an Idempotency-Key is answered once", async () => {
  const headers = { "idempotency-key": "garden-1" };
  const first = await api.call("POST", "/projects", { as: alice, body: { name: "Once" }, headers });
  const again = await api.call("POST", "/projects", { as: alice, body: { name: "Once" }, headers });
  expect([again.status, again.body]).toEqual([201, first.body]);
  expect([first, again].map((answer) => answer.headers.get("idempotent-replayed"))).toEqual([null, "true"]);

  const other = await api.call("POST", "/projects", { as: alice, body: { name: "Twice" }, headers });
  expect([other.status, other.body]).toMatchObject([422, { code: "idempotency_key_reused" }]);
  const bob = await api.person();
  const foreign = await api.call("POST", "/projects", { as: bob, body: { name: "Once" }, headers });
  expect(Project.parse(foreign.body).account_id).toBe(bob.accountId);
  const bad = await api.call("POST", "/projects", {
    as: alice,
    body: { name: "x" },
    headers: { "idempotency-key": "a b" },
  });
  expect([bad.status, bad.body]).toMatchObject([422, { code: "validation_failed" }]);
});

test("lists show what is one's own, and of a team what X-Account-Id names", async () => {
  const bob = await api.person();
  const { owner } = api.database;
  const team = await anAccount(owner, { ownerId: bob.userId });
  await aMember(owner, { accountId: team.accountId, userId: alice.userId });
  for (const accountId of [bob.accountId, team.accountId]) {
    const thread = await aThread(owner, { accountId, title: "bobs-canary" });
    await aRun(owner, { thread, status: "completed" });
  }
  const headers = { "x-account-id": team.accountId };
  for (const path of ["/projects", "/threads", "/agent-runs", "/billing/ledger"]) {
    const own = await api.call("GET", path, { as: alice, headers: { "x-account-id": alice.accountId } });
    expect([path, own.status, JSON.stringify(own.body).includes(bob.accountId)]).toEqual([path, 200, false]);
    expect(JSON.stringify(own.body)).not.toContain("bobs-canary");
  }
  for (const path of ["/projects", "/threads", "/agent-runs"]) {
    const ofTeam = await api.call("GET", path, { as: alice, headers });
    expect([path, ofTeam.body]).toMatchObject([path, { data: [{}], next_cursor: null }]);
  }
  // Every account of the caller, and no other.
  const runs = page(Run).parse((await api.call("GET", "/agent-runs", { as: alice })).body);
  expect(new Set(runs.data.map((run) => run.account_id))).toEqual(new Set([team.accountId]));
  const made = await api.call("POST", "/projects", { as: alice, body: { name: "Ours" }, headers });
  expect([made.status, Project.parse(made.body).account_id]).toEqual([201, team.accountId]);
});

test("a refused request keeps no key", async () => {
  const headers = { "idempotency-key": "later" };
  const path = `/threads/${crypto.randomUUID()}/messages`;
  expect((await api.call("POST", path, { as: alice, body: { content: "x" }, headers })).status).toBe(404);
  const rows = await api.database.owner.query("select 1 from cortex.idempotency_keys where key = 'later'");
  expect(rows.rowCount).toBe(0);
});
