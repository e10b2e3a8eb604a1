import type { Problem } from "@cortex/contracts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ApiUnderTest, type Person, startApiUnderTest } from "./testing/api-under-test.ts";
import { type IdPosition, idPositions } from "./testing/id-positions.ts";
import { ask, guardedRoutes, type Ids, objectsOf, taken } from "./testing/route-table.ts";

/** Bob's ids in every place where Alice may put one: each by itself, all else in the request being hers. */

let api: ApiUnderTest;
let alice: Person;
let bob: Person;
let his: Ids;
let positions: IdPosition[];
beforeAll(async () => {
  api = await startApiUnderTest();
  [alice, bob] = [await api.person(), await api.person()];
  his = await objectsOf(api, bob, "bobs-canary");
  positions = await idPositions(api);
  // Whoever follows his run makes its live log: there is something in Redis that could be touched.
  const headers = { authorization: `Bearer ${bob.token}` };
  await (await fetch(`${api.url}/api/agent-run/${his["agent_run_id"]}/stream`, { headers })).text();
});
afterAll(() => api.close());

/** Asks a route with this value in this place, and with ids of the person everywhere else. */
const askWith = async (position: IdPosition, value: string, as: Person): Promise<Response> => {
  const route = guardedRoutes(api).find(
    (each) => each.canonical === position.route && each.path === position.route.split(" ")[1],
  );
  if (!route) throw new Error(`${position.route} is not in the table of routes`);
  const ids = await objectsOf(api, as);
  const wanted = taken[position.route];
  switch (position.where) {
    case "path":
      return ask(api, route, { ids: { ...ids, [position.name]: value }, as });
    case "query":
      return ask(api, { ...route, path: `${route.path}?${position.name}=${value}` }, { ids, as });
    case "json": {
      const fields = wanted && "json" in wanted ? wanted.json : {};
      return ask(api, route, { ids, as, body: JSON.stringify({ ...fields, [position.name]: value }) });
    }
    case "form": {
      const form = new FormData();
      for (const [name, text] of Object.entries(wanted && "form" in wanted ? wanted.form : {})) form.set(name, text);
      form.set(position.name, value);
      return ask(api, route, { ids, as, body: form });
    }
  }
};

test("there are ids in paths, queries, bodies and forms, and the tests know an object for each", () => {
  expect(new Set(positions.map(({ where }) => where))).toEqual(new Set(["path", "query", "json", "form"]));
  expect(positions.filter(({ name }) => !(name in his))).toEqual([]);
});

test("somebody else's id in any place: 404, nothing changed, nothing told", async () => {
  const [tables, keys] = [await fingerprintOf(bob), await keysOf(his)];
  expect(keys.size).toBeGreaterThan(0);
  for (const position of positions) {
    const answer = await askWith(position, his[position.name] ?? "", alice);
    const text = await answer.text();
    expect([position, answer.status, text]).toMatchObject([position, 404, expect.not.stringContaining("bobs-canary")]);
    expect((JSON.parse(text) as Problem).code).toBe("not_found");
    expect(text).not.toContain(his[position.name]);
  }
  expect(await fingerprintOf(bob)).toBe(tables);
  expect(await keysOf(his)).toEqual(keys);
});

test("the same requests with one's own ids are answered: the door that was shut is a door", async () => {
  for (const position of positions) {
    const owner = await api.person();
    const ids = await objectsOf(api, owner);
    // An id in a path has to fit the other ids of that path.
    const answer =
      position.where === "path"
        ? await askWith({ ...position, name: "nothing" }, "", owner)
        : await askWith(position, ids[position.name] ?? "", owner);
    expect([position, answer.status < 300 ? "" : await answer.text()]).toEqual([position, ""]);
  }
});

test("a cursor of somebody else's list is a place in time: it opens nothing of theirs", async () => {
  for (const path of ["/projects", "/threads", "/agents", "/agent-runs", "/billing/ledger"]) {
    for (let n = 0; n < 2; n++) await objectsOf(api, bob, "bobs-canary");
    const page = await api.call("GET", `${path}?limit=1`, { as: bob });
    const { next_cursor: cursor } = page.body as { next_cursor: string | null };
    expect([path, cursor === null]).toEqual([path, path === "/billing/ledger"]);
    const answer = await api.call("GET", `${path}?cursor=${cursor ?? ""}`, { as: alice });
    expect([path, answer.status]).toEqual([path, cursor === null ? 400 : 200]);
    expect(JSON.stringify(answer.body)).not.toContain("bobs-canary");
    expect(JSON.stringify(answer.body)).not.toContain(bob.accountId);
  }
});

/** What Redis holds of these objects. */
const keysOf = async (ids: Ids): Promise<Map<string, string>> =>
  new Map([...(await api.redis.contents())].filter(([key]) => Object.values(ids).some((id) => key.includes(id))));

/** A hash over every row that belongs to somebody. */
const fingerprintOf = async (person: Person): Promise<string> => {
  const { owner } = api.database;
  const { rows } = await owner.query<{ name: string }>(
    "select table_name as name from information_schema.columns where table_schema = 'cortex' and column_name = 'account_id' order by 1",
  );
  const hashes = await Promise.all(
    rows.map(async ({ name }) => {
      const sql = `select coalesce(md5(string_agg(md5(each::text), '' order by md5(each::text))), '') as hash from cortex.${name} each where account_id = $1`;
      return `${name} ${(await owner.query<{ hash: string }>(sql, [person.accountId])).rows[0]?.hash}`;
    }),
  );
  return hashes.join("\n");
};
