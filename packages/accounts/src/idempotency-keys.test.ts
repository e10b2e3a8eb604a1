import { randomUUID } from "node:crypto";
import { asFleet, asUser, type Database, openDatabase, type Tx } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { aProject, aUser, createTestDatabase, type TestDatabase, type TestUser } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  abandonIdempotent,
  beginIdempotent,
  finishIdempotent,
  hashRequest,
  type IdempotencyClaim,
  type IdempotentRequest,
  purgeIdempotencyKeys,
} from "./idempotency-keys.ts";
import { createProject } from "./projects.ts";

let database: TestDatabase;
let api: Database;
let user: TestUser;
beforeAll(async () => {
  database = await createTestDatabase();
  api = openDatabase({ url: database.apiUrl, poolSize: 12, name: "test", log: silentLogger() });
  user = await aUser(database.owner);
});
afterAll(async () => {
  await api.close();
  await database.drop();
});

const as = <Result>(work: (tx: Tx) => Promise<Result>) =>
  asUser(api.db, { userId: user.userId, accountId: null }, work);
const request = (body = "{}", key: string = randomUUID()): IdempotentRequest => ({
  accountId: user.accountId,
  key,
  requestHash: hashRequest({ method: "POST", path: "/api/projects", body }),
});
const begun = (claim: IdempotencyClaim): string => {
  if (claim.kind !== "begun") throw new Error("it was expected to begin");
  return claim.token;
};
const withCode = (code: string): unknown => expect.objectContaining({ code });
const answer = { status: 201, body: { id: "1", nested: ["a", null] }, headers: { location: "/api/projects/1" } };

/** A creating request, as a route makes it: key, effect and answer in one transaction. */
const create = (input: IdempotentRequest, name: string) =>
  as(async (tx) => {
    const claim = await beginIdempotent(tx, input);
    if (claim.kind === "replay") return claim.answer;
    const project = await createProject(tx, {
      caller: { userId: user.userId, accountId: null },
      name,
      description: "",
    });
    const made = { status: 201, body: { id: project.id } };
    await finishIdempotent(tx, { ...input, token: claim.token, answer: made });
    return made;
  });
const projectsNamed = async (name: string) => {
  const { rows } = await database.owner.query("select 1 from cortex.projects where name = $1", [name]);
  return rows.length;
};

test("the same request again gets the first answer, whole, and has no second effect", async () => {
  const input = request();
  const token = begun(await as((tx) => beginIdempotent(tx, input)));
  await as((tx) => finishIdempotent(tx, { ...input, token, answer }));
  for (let again = 0; again < 2; again++) {
    expect(await as((tx) => beginIdempotent(tx, input))).toEqual({ kind: "replay", answer });
  }
});

test("another body under the same key is refused, in flight or answered", async () => {
  const input = request("{}");
  const other = { ...request("[]"), key: input.key };
  const token = begun(await as((tx) => beginIdempotent(tx, input)));
  await expect(as((tx) => beginIdempotent(tx, other))).rejects.toThrow(withCode("idempotency_key_reused"));
  await as((tx) => finishIdempotent(tx, { ...input, token, answer }));
  await expect(as((tx) => beginIdempotent(tx, other))).rejects.toThrow(withCode("idempotency_key_reused"));
});

test("method and path belong to the request", () => {
  const hash = (method: string, path: string, body: string) => hashRequest({ method, path, body }).toString("hex");
  const hashes = [
    hash("POST", "/a", "{}"),
    hash("PUT", "/a", "{}"),
    hash("POST", "/b", "{}"),
    hash("POST", "/a", "[]"),
  ];
  expect(new Set(hashes).size).toBe(4);
});

test("a key that is in flight says so at once, even before its holder has committed", async () => {
  const input = request();
  const started = performance.now();
  await as(async (tx) => {
    const token = begun(await beginIdempotent(tx, input));
    await expect(as((other) => beginIdempotent(other, input))).rejects.toThrow(withCode("idempotency_key_in_use"));
    await finishIdempotent(tx, { ...input, token, answer });
  });
  expect(performance.now() - started).toBeLessThan(5_000);

  const committed = request();
  begun(await as((tx) => beginIdempotent(tx, committed)));
  await expect(as((tx) => beginIdempotent(tx, committed))).rejects.toThrow(withCode("idempotency_key_in_use"));
});

test("many at once have one effect; each gets the answer or is told to wait", async () => {
  const input = request();
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => create(input, "only one of me")));
  expect(await projectsNamed("only one of me")).toBe(1);
  const answers = new Set(
    outcomes.flatMap((each) => (each.status === "fulfilled" ? [JSON.stringify(each.value)] : [])),
  );
  expect(answers.size).toBe(1);
  const refusals = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason as unknown] : []));
  for (const refusal of refusals) expect(refusal).toMatchObject({ code: "idempotency_key_in_use" });
});

test("a failure keeps nothing: the key may be tried again at once", async () => {
  const input = request();
  const failing = as(async (tx) => {
    begun(await beginIdempotent(tx, input));
    throw new Error("the effect failed");
  });
  await expect(failing).rejects.toThrow("the effect failed");
  expect(await create(input, "after a failure")).toMatchObject({ status: 201 });

  const twoSteps = request();
  const token = begun(await as((tx) => beginIdempotent(tx, twoSteps)));
  await as((tx) => abandonIdempotent(tx, { ...twoSteps, token }));
  begun(await as((tx) => beginIdempotent(tx, twoSteps)));
});

test("only 2xx answers are kept", async () => {
  const input = request();
  const token = begun(await as((tx) => beginIdempotent(tx, input)));
  for (const status of [199, 300, 404, 500]) {
    await expect(as((tx) => finishIdempotent(tx, { ...input, token, answer: { status, body: null } }))).rejects.toThrow(
      TypeError,
    );
  }
});

const age = (key: string, column: "locked_at" | "created_at", interval: string) =>
  database.owner.query(`update cortex.idempotency_keys set ${column} = ${column} - $2::interval where key = $1`, [
    key,
    interval,
  ]);

test("a dead holder is overtaken after a minute, and what it writes afterwards counts for nothing", async () => {
  const input = request();
  const dead = begun(await as((tx) => beginIdempotent(tx, input)));
  await age(input.key, "locked_at", "59 seconds");
  await expect(as((tx) => beginIdempotent(tx, input))).rejects.toThrow(withCode("idempotency_key_in_use"));
  await age(input.key, "locked_at", "2 seconds");
  await expect(as((tx) => beginIdempotent(tx, { ...request("[]"), key: input.key }))).rejects.toThrow(
    withCode("idempotency_key_reused"),
  );
  const token = begun(await as((tx) => beginIdempotent(tx, input)));
  await expect(as((tx) => finishIdempotent(tx, { ...input, token: dead, answer }))).rejects.toThrow(
    withCode("idempotency_key_in_use"),
  );
  await as((tx) => abandonIdempotent(tx, { ...input, token: dead }));
  await as((tx) => finishIdempotent(tx, { ...input, token, answer }));
  expect(await as((tx) => beginIdempotent(tx, input))).toEqual({ kind: "replay", answer });
});

test("a key is kept for seven days, and then is a new one", async () => {
  const input = request();
  const token = begun(await as((tx) => beginIdempotent(tx, input)));
  await as((tx) => finishIdempotent(tx, { ...input, token, answer }));
  await age(input.key, "created_at", "6 days 23 hours");
  expect(await as((tx) => beginIdempotent(tx, input))).toMatchObject({ kind: "replay" });
  await age(input.key, "created_at", "1 hour 1 minute");
  begun(await as((tx) => beginIdempotent(tx, { ...request("another body"), key: input.key })));
});

test("the same key in another account is another key", async () => {
  const input = request();
  begun(await as((tx) => beginIdempotent(tx, input)));
  const other = await aUser(database.owner);
  const theirs = { ...input, accountId: other.accountId };
  const claim = await asUser(api.db, { userId: other.userId, accountId: null }, (tx) => beginIdempotent(tx, theirs));
  expect(claim.kind).toBe("begun");
});

test("the purge removes what is past its time, of all accounts, and nothing else", async () => {
  const worker = openDatabase({ url: database.workerUrl, poolSize: 1, name: "test", log: silentLogger() });
  const purge = (batch: number) => asFleet(worker.db, (tx) => purgeIdempotencyKeys(tx, { batch }));
  try {
    while ((await purge(100)) > 0);
    const fresh = request();
    begun(await as((tx) => beginIdempotent(tx, fresh)));
    for (let n = 0; n < 3; n++) {
      const { accountId } = await aProject(database.owner);
      await database.owner.query(
        "insert into cortex.idempotency_keys (account_id, key, request_hash, created_at) values ($1, 'old', '', now() - interval '7 days 1 second')",
        [accountId],
      );
    }
    expect(await purge(2)).toBe(2);
    expect(await purge(2)).toBe(1);
    expect(await purge(2)).toBe(0);
    await expect(as((tx) => beginIdempotent(tx, fresh))).rejects.toThrow(withCode("idempotency_key_in_use"));
  } finally {
    await worker.close();
  }
});
