import { BillingStatus } from "@cortex/contracts";
import { asUser, type Database, openDatabase, type Tx } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import {
  aGrant,
  anAccount,
  aRun,
  aThread,
  aUser,
  createTestDatabase,
  eventually,
  type TestDatabase,
  type TestUser,
} from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkGate, decideGate, openGate } from "./gate.ts";
import type { GateFacts } from "./gate-facts.ts";
import { getBalance, reserveForRun } from "./ledger.ts";
import { plans } from "./plans.ts";

let database: TestDatabase;
let api: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  api = openDatabase({ url: database.apiUrl, poolSize: 8, name: "test", log: silentLogger() });
});
afterAll(async () => {
  await api.close();
  await database.drop();
});

const as = <Result>(user: TestUser, work: (tx: Tx) => Promise<Result>) =>
  asUser(api.db, { userId: user.userId, accountId: null }, work);
const facts = (changes: Partial<GateFacts>): GateFacts => ({
  planId: "free",
  unlimited: false,
  reserveUsd: "0.05",
  maxActiveRuns: 3,
  models: null,
  balanceUsd: "1",
  activeRuns: 0,
  ...changes,
});

test("the plans in code are the plans in the database", async () => {
  const { rows } = await database.owner.query(
    `select id, name, unlimited, trim_scale(reserve_usd)::text as "reserveUsd", max_parallel_runs as "maxParallelRuns",
       max_active_runs as "maxActiveRuns", models
     from cortex.plans order by id`,
  );
  expect(plans.toSorted((a, b) => a.id.localeCompare(b.id))).toEqual(rows);
});

test.for([
  ["enough credit", {}, null, "open"],
  ["exactly the reserve", { balanceUsd: "0.05" }, null, "open"],
  ["a hair less than the reserve", { balanceUsd: "0.0499999999" }, null, "insufficient_credits"],
  ["nothing left and nothing to reserve", { balanceUsd: "0", reserveUsd: "0" }, null, "insufficient_credits"],
  ["debts on an unlimited plan", { unlimited: true, balanceUsd: "-7" }, null, "open"],
  ["one run below the limit", { activeRuns: 2 }, null, "open"],
  ["the limit of runs", { activeRuns: 3 }, null, "too_many_runs"],
  ["the limit of runs on an unlimited plan", { unlimited: true, activeRuns: 3 }, null, "too_many_runs"],
  ["no limit of runs", { maxActiveRuns: null, activeRuns: 5_000 }, null, "open"],
  ["a model of the plan", { models: ["demo"] }, "demo", "open"],
  [
    "a model outside the plan, before all else",
    { models: ["demo"], balanceUsd: "0", activeRuns: 9 },
    "grand",
    "model_not_in_plan",
  ],
  ["no model yet", { models: ["demo"] }, null, "open"],
  ["no credit and too many runs", { balanceUsd: "0", activeRuns: 9 }, null, "insufficient_credits"],
] as const)("%s: %s", ([, changes, model, expected]) => {
  const verdict = decideGate(facts(changes), model);
  expect(verdict.kind === "open" ? "open" : verdict.code).toBe(expected);
});

test("only plans that ask for credit reserve any", () => {
  expect(decideGate(facts({}), null)).toEqual({ kind: "open", reserveUsd: "0.05" });
  expect(decideGate(facts({ unlimited: true }), null)).toEqual({ kind: "open", reserveUsd: "0" });
});

test("the status says what a start would say", async () => {
  const user = await aUser(database.owner, { planId: "free" });
  const status = () => as(user, (tx) => checkGate(tx, user));
  const start = () => as(user, (tx) => openGate(tx, { accountId: user.accountId, model: "demo" }));

  const poor = await status();
  expect(BillingStatus.parse(poor)).toEqual(poor);
  expect(poor).toMatchObject({ can_run: false, code: "insufficient_credits", balance_usd: "0", plan: "free" });
  await expect(start()).rejects.toThrow(
    expect.objectContaining({ code: "insufficient_credits", message: poor.detail }),
  );

  await aGrant(database.owner, { accountId: user.accountId, usd: "5" });
  expect(await status()).toEqual({ can_run: true, balance_usd: "5", plan: "free" });
  expect(await start()).toEqual({ reserveUsd: "0.05" });

  for (const status of ["queued", "running", "waiting", "completed", "failed"] as const) {
    await aRun(database.owner, { accountId: user.accountId, status });
  }
  expect(await status()).toMatchObject({ can_run: false, code: "too_many_runs", balance_usd: "5" });
  await expect(start()).rejects.toThrow(expect.objectContaining({ code: "too_many_runs" }));
});

test("an unlimited plan lets everything through and takes no lock", async () => {
  const user = await aUser(database.owner, { planId: "local" });
  await as(user, async (tx) => {
    expect(await openGate(tx, { accountId: user.accountId, model: "any" })).toEqual({ reserveUsd: "0" });
    expect(await as(user, (other) => openGate(other, { accountId: user.accountId, model: "any" }))).toEqual({
      reserveUsd: "0",
    });
  });
});

test("a foreign account is missing", async () => {
  const user = await aUser(database.owner);
  const { accountId } = await anAccount(database.owner);
  await expect(as(user, (tx) => checkGate(tx, { accountId }))).rejects.toThrow(
    expect.objectContaining({ code: "not_found" }),
  );
  await expect(as(user, (tx) => openGate(tx, { accountId, model: "demo" }))).rejects.toThrow(
    expect.objectContaining({ code: "not_found" }),
  );
});

/** What a start does as far as money and numbers go. */
const start = (user: TestUser, hold: () => Promise<void> = async () => undefined) =>
  as(user, async (tx) => {
    const { reserveUsd } = await openGate(tx, { accountId: user.accountId, model: "demo" });
    const thread = await aThread(database.owner, { accountId: user.accountId });
    const run = await tx
      .insertInto("agent_runs")
      .columns(["account_id", "project_id", "thread_id", "agent_id", "agent_version_id", "request_id", "model"])
      .expression((query) =>
        query
          .selectFrom("agents")
          .select((column) => [
            "account_id",
            column.val(thread.projectId).as("project_id"),
            column.val(thread.threadId).as("thread_id"),
            "id as agent_id",
            "active_version_id as agent_version_id",
            column.val("test").as("request_id"),
            column.val("demo").as("model"),
          ])
          .where("account_id", "=", user.accountId)
          .where("is_default", "=", true),
      )
      .returning("id")
      .executeTakeFirstOrThrow();
    await reserveForRun(tx, { accountId: user.accountId, runId: run.id, reserveUsd });
    await hold();
  });

const refusals = async (starts: Promise<void>[]) => {
  const outcomes = await Promise.allSettled(starts);
  return outcomes.flatMap((each) => (each.status === "rejected" ? [(each.reason as { code: unknown }).code] : []));
};

test("starts at the same moment cannot spend the same credit twice", async () => {
  const user = await aUser(database.owner, { planId: "free" });
  await aGrant(database.owner, { accountId: user.accountId, usd: "0.12" });
  expect(await refusals(Array.from({ length: 6 }, () => start(user)))).toEqual(Array(4).fill("insufficient_credits"));
  expect(await as(user, (tx) => getBalance(tx, user))).toBe("0.02");
});

test("starts at the same moment cannot be more than the plan allows", async () => {
  const user = await aUser(database.owner, { planId: "free" });
  await aGrant(database.owner, { accountId: user.accountId, usd: "5" });
  expect(await refusals(Array.from({ length: 8 }, () => start(user)))).toEqual(Array(5).fill("too_many_runs"));
});

test("a start that waits for another one does not hold up what runs already", async () => {
  const user = await aUser(database.owner, { planId: "free" });
  await aGrant(database.owner, { accountId: user.accountId, usd: "5" });
  await as(user, async (tx) => {
    await openGate(tx, { accountId: user.accountId, model: "demo" });
    const second = start(user);
    await eventually(async () => {
      const { rows } = await database.owner.query(
        "select 1 from pg_stat_activity where datname = current_database() and usename = 'cortex_api' and wait_event_type = 'Lock'",
      );
      return rows.length === 1;
    });
    // A settlement, and a row that points at the account: neither waits for the gate.
    await aGrant(database.owner, { accountId: user.accountId, usd: "1" });
    await aThread(database.owner, { accountId: user.accountId });
    return { second };
  }).then(({ second }) => second);
  expect(await as(user, (tx) => getBalance(tx, user))).toBe("5.95");
});
