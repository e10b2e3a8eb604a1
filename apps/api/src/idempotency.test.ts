import { connect } from "node:net";
import type { Problem, StartedRun } from "@cortex/contracts";
import { aGrant, aThread, eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiUnderTest, type Person, startApiUnderTest } from "./testing/api-under-test.ts";
import {
  ask,
  fingerprint,
  guardedRoutes,
  type Ids,
  objectsOf,
  taken,
  type TestedRoute,
} from "./testing/route-table.ts";

/** Idempotency-Key on every route that creates, from the document that the API serves. */

let api: ApiUnderTest;
let alice: Person;
let hers: Ids;
let creating: TestedRoute[];
beforeAll(async () => {
  api = await startApiUnderTest();
  alice = await api.person({ planId: "local" });
  hers = await objectsOf(api, alice);
  type Paths = Record<string, { post?: { parameters?: { $ref?: string }[] } }>;
  const { paths } = (await api.call("GET", "/openapi.json")).body as { paths: Paths };
  const promised = Object.entries(paths)
    .filter(([, { post }]) => post?.parameters?.some((each) => each.$ref?.endsWith("/IdempotencyKey")))
    .map(([path]) => `POST ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`);
  creating = guardedRoutes(api).filter(({ canonical }) => promised.includes(canonical));
});
afterAll(() => api.close());

const newKey = (): string => crypto.randomUUID();
const outcome = async (answer: Response) => ({
  status: answer.status,
  body: (await answer.json()) as Partial<Problem>,
});
const askOnce = async (route: TestedRoute, key: string, input: { ids: Ids; as: Person; body?: BodyInit }) =>
  outcome(await ask(api, route, { ...input, headers: { "idempotency-key": key } }));
/** Another request than the one of the table. */
const otherBody = (route: TestedRoute): BodyInit => {
  const wanted = taken[route.canonical];
  if (wanted && "json" in wanted) {
    const changed = Object.entries(wanted.json).map(([name, value]) => [
      name,
      typeof value === "string" ? `${value}2` : value,
    ]);
    return JSON.stringify(Object.fromEntries(changed));
  }
  const form = new FormData();
  form.set("prompt", "Something else");
  return form;
};

test("every POST honours the key, but for those that may be repeated as they are", () => {
  const others = guardedRoutes(api)
    .filter(({ method, canonical }) => method === "POST" && !creating.some((route) => route.canonical === canonical))
    .map(({ canonical }) => canonical);
  expect([...new Set(others)].toSorted()).toEqual([
    "POST /agent-run/:agent_run_id/approvals/:tool_call_id",
    "POST /agent-run/:agent_run_id/stop",
    "POST /agent-run/:agent_run_id/stream-ticket",
    "POST /mcp-servers/:server_id/accept",
    "POST /mcp-servers/:server_id/refresh",
  ]);
  expect(creating.length).toBeGreaterThan(5);
});

test("the same again gets the first answer and creates nothing; another request under that key is refused", async () => {
  for (const route of creating) {
    const [key, ids] = [newKey(), await objectsOf(api, alice)];
    const first = await askOnce(route, key, { ids, as: alice });
    expect([route.path, first.status < 300]).toEqual([route.path, true]);
    const before = await fingerprint(api);
    expect([route.path, await askOnce(route, key, { ids, as: alice })]).toEqual([route.path, first]);
    const other = await askOnce(route, key, { ids, as: alice, body: otherBody(route) });
    expect([route.path, other]).toMatchObject([route.path, { status: 422, body: { code: "idempotency_key_reused" } }]);
    expect(await fingerprint(api)).toBe(before);
  }
});

test("a key belongs to its account: somebody else's is another key", async () => {
  // Their names are taken once, and alice has made one.
  await api.database.owner.query("delete from cortex.mcp_servers");
  const bob = await api.person({ planId: "local" });
  for (const route of creating) {
    const key = newKey();
    const first = await askOnce(route, key, { ids: await objectsOf(api, alice), as: alice });
    const his = await askOnce(route, key, { ids: await objectsOf(api, bob), as: bob });
    expect([route.path, first.status, his.status]).toEqual([route.path, his.status, first.status]);
    expect(his.body).not.toEqual(first.body);
  }
});

test("keys that are none: 422 with the header's name, and nothing is created", async () => {
  for (const route of creating) {
    const before = await fingerprint(api);
    for (const key of ["", " ", "two words", "x".repeat(256), "ä", "a\tb"]) {
      const answer = await askOnce(route, key, { ids: hers, as: alice });
      const errors = [{ pointer: "/headers/idempotency-key" }];
      expect([route.path, key, answer]).toMatchObject([route.path, key, { status: 422, body: { errors } }]);
    }
    expect(await fingerprint(api)).toBe(before);
  }
});

const start = (threadId: string, key: string, as = alice) =>
  api.call("POST", `/thread/${threadId}/agent/start`, {
    as,
    body: { prompt: "Once" },
    headers: { "idempotency-key": key },
  });
const aThreadOf = async (person: Person) =>
  (await aThread(api.database.owner, { accountId: person.accountId })).threadId;
const runsOn = async (threadId: string) =>
  (await api.database.owner.query("select 1 from cortex.agent_runs where thread_id = $1", [threadId])).rowCount;

test("a hundred at once under one key make one run; who came too early is told to try again, and gets the same answer", async () => {
  const [threadId, key] = [await aThreadOf(alice), newKey()];
  const early: string[] = [];
  const untilAnswered = async (): Promise<StartedRun> =>
    eventually(
      async () => {
        const { status, body, headers } = await start(threadId, key);
        if (status === 202) return body as StartedRun;
        early.push(`${status} ${(body as Problem).code} ${headers.get("retry-after")}`);
        return null;
      },
      { timeoutMs: 30_000 },
    );
  const answers = await Promise.all(Array.from({ length: 100 }, untilAnswered));
  expect(new Set(answers.map(({ agent_run_id: id }) => id)).size).toBe(1);
  expect(new Set(early).difference(new Set(["409 idempotency_key_in_use 1"]))).toEqual(new Set());
  expect(await runsOn(threadId)).toBe(1);
}, 60_000);

test("whoever lost the answer asks again and gets the run that was started", async () => {
  const [threadId, key] = [await aThreadOf(alice), newKey()];
  const body = JSON.stringify({ prompt: "Once" });
  const { hostname, port } = new URL(api.url);
  // The request goes out whole, and the line is cut before anything can come back.
  await new Promise<void>((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      const head = [
        `POST /api/thread/${threadId}/agent/start HTTP/1.1`,
        `host: ${hostname}`,
        `authorization: Bearer ${alice.token}`,
        `idempotency-key: ${key}`,
        "content-type: application/json",
        `content-length: ${body.length}`,
      ];
      socket.end(`${head.join("\r\n")}\r\n\r\n${body}`, () => {
        socket.destroy();
        resolve();
      });
    });
    socket.once("error", reject);
  });
  await eventually(async () => (await runsOn(threadId)) === 1);
  const again = await eventually(async () => {
    const answer = await start(threadId, key);
    return answer.status === 202 ? answer : null;
  });
  expect(again.headers.get("idempotent-replayed")).toBe("true");
  expect(await runsOn(threadId)).toBe(1);
});

test("only success is kept, and a repeated request is answered before any limit is asked", async () => {
  const person = await api.person({ planId: "free" });
  const [threadId, key] = [await aThreadOf(person), newKey()];
  expect(await start(threadId, key, person)).toMatchObject({ status: 402, body: { code: "insufficient_credits" } });
  await aGrant(api.database.owner, { accountId: person.accountId, usd: "1" });
  const first = await start(threadId, key, person);
  expect(first.status).toBe(202);
  // Too many runs, a busy thread, no credit: none of it matters to whoever asks for what was answered.
  for (let n = 0; n < 2; n++) expect((await start(await aThreadOf(person), newKey(), person)).status).toBe(202);
  await aGrant(api.database.owner, { accountId: person.accountId, usd: "-1" });
  expect((await start(await aThreadOf(person), newKey(), person)).status).toBe(402);
  expect(await start(threadId, key, person)).toMatchObject({ status: 202, body: first.body as object });
});
