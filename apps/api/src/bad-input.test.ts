import { Problem } from "@cortex/contracts";
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

let api: ApiUnderTest;
let alice: Person;
let bob: Person;
let hers: Ids;
let his: Ids;
let routes: TestedRoute[];
beforeAll(async () => {
  api = await startApiUnderTest();
  [alice, bob] = [await api.person(), await api.person()];
  [hers, his] = [await objectsOf(api, alice), await objectsOf(api, bob, "bobs-canary")];
  routes = guardedRoutes(api);
});
afterAll(() => api.close());

const problemOf = async (answer: Response): Promise<Problem> => {
  expect(answer.headers.get("content-type")).toBe("application/problem+json");
  const problem = Problem.parse(await answer.json());
  expect(problem.status).toBe(answer.status);
  expect(problem.request_id).toBe(answer.headers.get("x-request-id"));
  return problem;
};

/** Asks every route in the same bad way: what came back, by route, and that nothing was written. */
const askAll = async (
  which: readonly TestedRoute[],
  how: (route: TestedRoute) => Parameters<typeof ask>[2],
): Promise<Record<string, string>> => {
  const before = await fingerprint(api);
  const answers: Record<string, string> = {};
  for (const route of which) {
    const { status, code, errors } = await problemOf(await ask(api, route, how(route)));
    const pointers = errors?.map((each) => each.pointer).join(" ");
    answers[`${route.method} ${route.path}`] = [status, code, pointers].filter(Boolean).join(" ");
  }
  expect(await fingerprint(api)).toBe(before);
  return answers;
};

/** Every route answered this. */
const each = (which: readonly TestedRoute[], answer: string): Record<string, string> =>
  Object.fromEntries(which.map((route) => [`${route.method} ${route.path}`, answer]));

const withJson = () => routes.filter((route) => taken[route.canonical] && "json" in (taken[route.canonical] ?? {}));
const withIds = () => routes.filter((route) => route.path.includes(":"));
const asJson = (value: unknown) => ({ body: JSON.stringify(value), as: alice, ids: hers });

test("the table covers every route", () => {
  expect(routes.length).toBeGreaterThan(Object.keys(taken).length);
  expect(new Set(routes.map((route) => route.canonical))).toEqual(new Set(Object.keys(taken)));
});

test("without a token, or with garbage for one: 401", async () => {
  expect(await askAll(routes, () => ({ ids: hers }))).toEqual(each(routes, "401 unauthenticated"));
  const garbage = { authorization: "Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2ln" };
  expect(await askAll(routes, () => ({ ids: hers, headers: garbage }))).toEqual(each(routes, "401 unauthenticated"));
});

test("somebody else's ids, unknown ids and what is no id: 404", async () => {
  const guarded = withIds().filter((route) => !route.path.includes(":name"));
  const before = await fingerprint(api);
  for (const route of guarded) {
    const answer = await ask(api, route, { ids: his, as: alice });
    expect([route.path, answer.status]).toEqual([route.path, 404]);
    expect(await answer.text()).not.toContain("bobs-canary");
  }
  expect(await fingerprint(api)).toBe(before);

  const unknown = Object.fromEntries(Object.keys(hers).map((name) => [name, crypto.randomUUID()]));
  expect(await askAll(withIds(), () => ({ ids: unknown, as: alice }))).toEqual(each(withIds(), "404 not_found"));
  const malformed = Object.fromEntries(Object.keys(hers).map((name) => [name, "1%20or%201=1"]));
  expect(await askAll(withIds(), () => ({ ids: malformed, as: alice }))).toEqual(each(withIds(), "404 not_found"));
  const nul = Object.fromEntries(Object.keys(hers).map((name) => [name, "%00"]));
  const answers = Object.values(await askAll(withIds(), () => ({ ids: nul, as: alice })));
  expect(answers.filter((answer) => !/^(404 not_found|422 validation_failed)/.test(answer))).toEqual([]);
});

test("somebody else's account in X-Account-Id: 404, also for one's own ids", async () => {
  const foreign = { "x-account-id": bob.accountId };
  expect(await askAll(routes, () => ({ ids: hers, as: alice, headers: foreign }))).toEqual(
    each(routes, "404 not_found"),
  );
  const nonsense = { "x-account-id": "mine" };
  const refused = each(routes, "422 validation_failed /headers/x-account-id");
  expect(await askAll(routes, () => ({ ids: hers, as: alice, headers: nonsense }))).toEqual(refused);
});

test("malformed JSON: 400; another type, an encoding, no type: 415", async () => {
  const json = withJson();
  for (const body of ['{"a":', " ", "nope", '{"a":1}}', "{'a':1}"]) {
    expect(await askAll(json, () => ({ ids: hers, as: alice, body }))).toEqual(each(json, "400 invalid_json"));
  }
  const deep = `${'{"metadata":'.repeat(5_000)}1${"}".repeat(5_000)}`;
  expect(await askAll(json, () => ({ ids: hers, as: alice, body: deep }))).toEqual(each(json, "400 invalid_json"));
  for (const headers of [{ "content-type": "text/plain" }, { "content-encoding": "gzip" }]) {
    const answers = await askAll(json, () => ({ ids: hers, as: alice, headers }));
    expect(answers).toEqual(each(json, "415 unsupported_media_type"));
  }
  const forms = routes.filter((route) => route.canonical === "POST /agent/initiate");
  const headers = { "content-type": "application/json" };
  const answers = await askAll(forms, () => ({ ids: hers, as: alice, body: "{}", headers }));
  expect(answers).toEqual(each(forms, "415 unsupported_media_type"));
});

test("a body above 1 MB: 413, however it is sent", async () => {
  const json = withJson();
  const large = JSON.stringify({ content: "x".repeat(1024 * 1024) });
  expect(await askAll(json, () => ({ ids: hers, as: alice, body: large }))).toEqual(each(json, "413 body_too_large"));
  const chunked = () => new Blob([large]).stream();
  expect(await askAll(json, () => ({ ids: hers, as: alice, body: chunked() }))).toEqual(
    each(json, "413 body_too_large"),
  );
});

test("wrong types and unknown fields: 422, and where", async () => {
  const json = withJson();
  for (const value of [[], "text", 7, null]) {
    const answers = Object.values(await askAll(json, () => asJson(value)));
    expect(answers.filter((answer) => !answer.startsWith("422 validation_failed"))).toEqual([]);
  }
  for (const field of ["account_id", "id", "status", "role", "cost_usd", "__proto__"]) {
    const answers = await askAll(json, (route) => {
      const wanted = taken[route.canonical];
      const valid = JSON.stringify(wanted && "json" in wanted ? wanted.json : {});
      return { ids: hers, as: alice, body: valid.replace("{", `{"${field}":"x",`) };
    });
    expect(answers).toEqual(each(json, `422 validation_failed /${field}`));
  }
  for (const route of json) {
    const wanted = taken[route.canonical];
    for (const field of Object.keys(wanted && "json" in wanted ? wanted.json : {})) {
      const changed = { ...(wanted && "json" in wanted ? wanted.json : {}), [field]: 12 };
      const answers = Object.values(await askAll([route], () => asJson(changed)));
      expect([route.path, field, answers]).toMatchObject([
        route.path,
        field,
        [expect.stringMatching(`^422 .* /${field}`) as unknown],
      ]);
    }
  }
});

test("query parameters that a route does not know: 422 with their names, at every address of every route", async () => {
  const misspelt = (prefix: string) => async (route: TestedRoute) => {
    const path = `${route.path}?thraed_id=${hers["thread_id"]}&%7E/=1`;
    const { status, code, errors } = await problemOf(
      await ask(api, { ...route, path }, { ids: hers, as: alice, prefix }),
    );
    return [`${route.method} ${route.path}`, [status, code, ...(errors ?? []).map(({ pointer }) => pointer)].join(" ")];
  };
  const before = await fingerprint(api);
  for (const prefix of ["/api", "/api/v1"]) {
    const answers = Object.fromEntries(await Promise.all(routes.map(misspelt(prefix)))) as Record<string, string>;
    expect(answers).toEqual(each(routes, "422 validation_failed /query/thraed_id /query/~0~1"));
  }
  expect(await fingerprint(api)).toBe(before);
});

test("queries that are none: 422, cursors that are none of ours: 400", async () => {
  const lists = [
    "/projects",
    "/threads",
    `/threads/${hers["thread_id"]}/messages`,
    "/agents",
    `/agents/${hers["agent_id"]}/versions`,
    "/agent-runs",
    "/billing/ledger",
  ];
  for (const path of lists) {
    for (const query of ["limit=0", "limit=1e9", "limit=-1", "limit=x", "limit=1&limit=2"]) {
      const answer = await api.call("GET", `${path}?${query}`, { as: alice });
      expect([path, query, answer.status, answer.body]).toMatchObject([
        path,
        query,
        422,
        { code: "validation_failed" },
      ]);
    }
    for (const cursor of ["nonsense", "%00", "%F0%28%8C%28", Buffer.from("1.x").toString("base64url")]) {
      const answer = await api.call("GET", `${path}?cursor=${cursor}`, { as: alice });
      expect([path, cursor, answer.status < 500 && answer.status >= 400]).toEqual([path, cursor, true]);
    }
  }
  const run = await api.call("GET", "/agent-runs?status=sleeping", { as: alice });
  expect([run.status, run.body]).toMatchObject([422, { errors: [{ pointer: "/query/status" }] }]);
});

test("NUL is refused with its place, half a surrogate pair is stored as U+FFFD", async () => {
  const nul = await api.call("POST", "/projects", { as: alice, body: { name: "a\0b" } });
  expect([nul.status, nul.body]).toMatchObject([422, { errors: [{ pointer: "/name" }] }]);
  const path = `/threads/${hers["thread_id"]}`;
  const key = await api.call("PATCH", path, { as: alice, body: { metadata: { "a/b": { "c\0": 1 } } } });
  expect([key.status, key.body]).toMatchObject([422, { errors: [{ pointer: "/metadata/a~1b" }] }]);

  const halves = await api.call("POST", "/projects", { as: alice, body: { name: "a\ud800b" } });
  expect([halves.status, halves.body]).toMatchObject([201, { name: "a\ufffdb" }]);
  const half = { content: "x\udc00", metadata: { "k\ud800": "v\ud800" } };
  const message = await api.call("POST", `${path}/messages`, { as: alice, body: half });
  expect([message.status, message.body]).toMatchObject([
    201,
    { content: [{ text: "x\ufffd" }], metadata: { "k\ufffd": "v\ufffd" } },
  ]);
});

test("a form with files or fields that nobody asked for: 422", async () => {
  const form = new FormData();
  form.set("prompt", "Hello");
  form.set("files", new Blob(["x"]), "x.txt");
  const [route] = routes.filter((each) => each.canonical === "POST /agent/initiate");
  if (!route) throw new Error("no such route");
  const before = await fingerprint(api);
  const refused = await problemOf(await ask(api, route, { ids: hers, as: alice, body: form }));
  expect([refused.status, refused.errors]).toMatchObject([
    422,
    [{ pointer: "/files", detail: "attachments are not taken yet" }],
  ]);
  const twice = new FormData();
  twice.append("prompt", "a");
  twice.append("prompt", "b");
  expect((await problemOf(await ask(api, route, { ids: hers, as: alice, body: twice }))).code).toBe(
    "validation_failed",
  );
  const headers = { "content-type": "multipart/form-data; boundary=x" };
  const cut = await problemOf(await ask(api, route, { ids: hers, as: alice, body: "--x\r\n", headers }));
  expect([cut.status, cut.code]).toEqual([400, "invalid_json"]);
  expect(await fingerprint(api)).toBe(before);
});

test("an unknown address is 404 and a wrong method 405 with Allow, whoever asks", async () => {
  for (const as of [undefined, alice]) {
    const caller = as ? { as } : {};
    const unknown = await api.call("GET", "/nothing/here", caller);
    expect([unknown.status, unknown.body]).toMatchObject([404, { code: "not_found" }]);
    const wrong = await api.call("PUT", "/projects", caller);
    expect([wrong.status, wrong.headers.get("allow"), wrong.body]).toMatchObject([
      405,
      "GET, POST",
      { code: "method_not_allowed" },
    ]);
  }
  const root = await fetch(`${api.url}/projects`, { headers: { authorization: `Bearer ${alice.token}` } });
  expect((await problemOf(root)).status).toBe(404);
});

test("the same routes open for their owner, and say so with what they promise", async () => {
  type Paths = Record<string, Record<string, { responses: object }>>;
  const { paths } = (await api.call("GET", "/openapi.json")).body as { paths: Paths };
  for (const route of routes) {
    const owner = await api.person();
    const answer = await ask(api, route, { ids: await objectsOf(api, owner), as: owner });
    const text = await answer.text();
    expect([route.method, route.path, answer.status, answer.status < 300 ? "" : text]).toEqual([
      route.method,
      route.path,
      answer.status,
      "",
    ]);
    const [method, path] = route.canonical.split(" ");
    const documented =
      paths[(path ?? "").replaceAll(/:(\w+)/g, "{$1}")]?.[(method ?? "").toLowerCase()]?.responses ?? {};
    expect([route.canonical, Object.keys(documented)]).toEqual([
      route.canonical,
      expect.arrayContaining([String(answer.status)]) as unknown,
    ]);
  }
});
