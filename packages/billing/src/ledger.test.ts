import { randomUUID } from "node:crypto";
import { addUsd, LedgerEntry, unitsToUsd, usdToUnits } from "@cortex/contracts";
import { asAccount, asUser, type Database, openDatabase, type Tx } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { anAccount, aMember, aUser, createTestDatabase, type TestDatabase, type TestUser } from "@cortex/testing";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { getBalance, grantCredits, releaseReservation, reserveForRun, settleUsage } from "./ledger.ts";
import { listLedger } from "./list-ledger.ts";

let database: TestDatabase;
let api: Database;
let worker: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  api = openDatabase({ url: database.apiUrl, poolSize: 8, name: "test", log: silentLogger() });
  worker = openDatabase({ url: database.workerUrl, poolSize: 8, name: "test", log: silentLogger() });
});
afterAll(async () => {
  await api.close();
  await worker.close();
  await database.drop();
});

const as = <Result>(user: TestUser, work: (tx: Tx) => Promise<Result>) =>
  asUser(api.db, { userId: user.userId, accountId: null }, work);
const asWorker = <Result>(user: TestUser, work: (tx: Tx) => Promise<Result>) =>
  asAccount(worker.db, { accountId: user.accountId }, work);
const balance = (user: TestUser) => as(user, (tx) => getBalance(tx, user));
const grant = (user: TestUser, amountUsd: string, key: string = randomUUID()) =>
  as(user, (tx) => grantCredits(tx, { accountId: user.accountId, kind: "grant", amountUsd, key, description: "" }));

test("the life of a run's money: held back, charged by step, given back", async () => {
  const user = await aUser(database.owner);
  const { accountId } = user;
  const runId = randomUUID();
  await grant(user, "1");
  await as(user, (tx) => reserveForRun(tx, { accountId, runId, reserveUsd: "0.05" }));
  expect(await balance(user)).toBe("0.95");
  const first = await asWorker(user, (tx) => settleUsage(tx, { accountId, runId, step: 0, costUsd: "0.0000000001" }));
  expect(first).toBe("0.9499999999");
  const second = await asWorker(user, (tx) => settleUsage(tx, { accountId, runId, step: 1, costUsd: "0.2" }));
  expect(second).toBe("0.7499999999");
  await asWorker(user, (tx) => releaseReservation(tx, { accountId, runId, reservedUsd: "0.05" }));
  expect(await balance(user)).toBe("0.7999999999");

  const { data } = await as(user, (tx) => listLedger(tx, { accountId, limit: 10 }));
  expect(data.map((entry) => LedgerEntry.parse(entry))).toEqual(data);
  expect(data.map(({ kind, amount_usd, run_id }) => [kind, amount_usd, run_id])).toEqual([
    ["release", "0.05", runId],
    ["usage", "-0.2", runId],
    ["usage", "-0.0000000001", runId],
    ["reserve", "-0.05", runId],
    ["grant", "1", null],
  ]);
});

test("a fact moves money once, however often and at the same time it is reported", async () => {
  const user = await aUser(database.owner);
  const { accountId } = user;
  const runId = randomUUID();
  const grants = await Promise.all(Array.from({ length: 5 }, () => grant(user, "1", "invoice 7")));
  expect(grants.filter(({ moved }) => moved)).toHaveLength(1);
  const reports = Array.from({ length: 5 }, () => [
    asWorker(user, (tx) => settleUsage(tx, { accountId, runId, step: 3, costUsd: "0.25" })),
    asWorker(user, (tx) => releaseReservation(tx, { accountId, runId, reservedUsd: "0.5" })),
  ]);
  await Promise.all(reports.flat());
  expect(await balance(user)).toBe("1.25");
});

test("the same key of two accounts, and of two kinds, are different facts", async () => {
  const [one, other] = await Promise.all([aUser(database.owner), aUser(database.owner)]);
  await Promise.all([grant(one, "1", "welcome"), grant(other, "2", "welcome")]);
  await as(one, (tx) =>
    grantCredits(tx, { accountId: one.accountId, kind: "purchase", amountUsd: "4", key: "welcome", description: "" }),
  );
  expect([await balance(one), await balance(other)]).toEqual(["5", "2"]);
});

test("what costs nothing leaves no entry", async () => {
  const user = await aUser(database.owner);
  const { accountId } = user;
  await grant(user, "1");
  const runId = randomUUID();
  await as(user, (tx) => reserveForRun(tx, { accountId, runId, reserveUsd: "0" }));
  expect(await asWorker(user, (tx) => settleUsage(tx, { accountId, runId, step: 0, costUsd: "0.00" }))).toBe("1");
  await asWorker(user, (tx) => releaseReservation(tx, { accountId, runId, reservedUsd: "0" }));
  expect((await as(user, (tx) => listLedger(tx, { accountId, limit: 10 }))).data).toHaveLength(1);
});

test("credits are given, never taken by another name", async () => {
  const user = await aUser(database.owner);
  for (const amount of ["0", "-1"]) {
    await expect(grant(user, amount)).rejects.toThrow(expect.objectContaining({ code: "validation_failed" }));
  }
  await as(user, (tx) =>
    grantCredits(tx, { accountId: user.accountId, kind: "adjustment", amountUsd: "-1", key: "k", description: "" }),
  );
  expect(await balance(user)).toBe("-1");
});

test("a movement whose transaction fails has not happened", async () => {
  const user = await aUser(database.owner);
  await grant(user, "1");
  const failing = asWorker(user, async (tx) => {
    await settleUsage(tx, { accountId: user.accountId, runId: randomUUID(), step: 0, costUsd: "0.5" });
    throw new Error("fenced");
  });
  await expect(failing).rejects.toThrow("fenced");
  expect(await balance(user)).toBe("1");
});

test("money of another account is neither seen nor moved", async () => {
  const [user, other] = await Promise.all([aUser(database.owner), aUser(database.owner)]);
  await grant(other, "3");
  const { accountId } = other;
  expect(await as(user, (tx) => getBalance(tx, { accountId }))).toBe("0");
  expect((await as(user, (tx) => listLedger(tx, { accountId, limit: 10 }))).data).toEqual([]);
  const theft = { accountId, runId: randomUUID(), step: 0, costUsd: "3" };
  await expect(asWorker(user, (tx) => settleUsage(tx, theft))).rejects.toThrow("row-level security");
  await expect(as(user, (tx) => settleUsage(tx, theft))).rejects.toThrow("row-level security");
  expect(await balance(other)).toBe("3");
});

test("a viewer sees the balance and moves nothing", async () => {
  const viewer = await aUser(database.owner);
  const { accountId } = await anAccount(database.owner);
  await aMember(database.owner, { accountId, userId: viewer.userId, role: "viewer" });
  await expect(
    as(viewer, (tx) => grantCredits(tx, { accountId, kind: "grant", amountUsd: "1", key: "k", description: "" })),
  ).rejects.toThrow("row-level security");
});

test("whatever happens in whatever order, the balance is the exact sum of the ledger", async () => {
  const movement = fc.record({
    kind: fc.constantFrom("grant" as const, "usage" as const, "reserve" as const, "release" as const),
    fact: fc.integer({ min: 0, max: 4 }),
    units: fc.bigInt({ min: 1n, max: 10n ** 14n }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(movement, { maxLength: 25 }), async (movements) => {
      const user = await aUser(database.owner);
      const { accountId } = user;
      const runs = Array.from({ length: 5 }, () => randomUUID());
      const expected = new Map<string, bigint>();
      const once = (key: string, amount: bigint) => expected.set(key, expected.get(key) ?? amount);
      for (const { kind, fact, units } of movements) {
        const runId = runs[fact] ?? "";
        const amount = unitsToUsd(units);
        once(`${kind} ${fact}`, kind === "usage" || kind === "reserve" ? -units : units);
        if (kind === "grant") await grant(user, amount, `fact ${fact}`);
        if (kind === "usage")
          await asWorker(user, (tx) => settleUsage(tx, { accountId, runId, step: 0, costUsd: amount }));
        if (kind === "reserve") await as(user, (tx) => reserveForRun(tx, { accountId, runId, reserveUsd: amount }));
        if (kind === "release")
          await asWorker(user, (tx) => releaseReservation(tx, { accountId, runId, reservedUsd: amount }));
      }
      const sum = [...expected.values()].reduce((total, units) => total + units, 0n);
      expect(usdToUnits(await balance(user))).toBe(sum);
      const { data } = await as(user, (tx) => listLedger(tx, { accountId, limit: 200 }));
      expect(addUsd(...data.map((entry) => entry.amount_usd))).toBe(unitsToUsd(sum));
    }),
    { numRuns: 15 },
  );
});

test("the ledger in pages is the whole ledger, while it grows", async () => {
  const user = await aUser(database.owner);
  for (let n = 1; n <= 7; n++) await grant(user, String(n));
  const seen: string[] = [];
  let cursor: string | null = null;
  do {
    const page: Awaited<ReturnType<typeof listLedger>> = await as(user, (tx) =>
      listLedger(tx, { accountId: user.accountId, limit: 3, ...(cursor === null ? {} : { cursor }) }),
    );
    seen.push(...page.data.map((entry) => entry.amount_usd));
    cursor = page.next_cursor;
    await grant(user, "100");
  } while (cursor !== null);
  expect(seen).toEqual(["7", "6", "5", "4", "3", "2", "1"]);
  await expect(
    as(user, (tx) => listLedger(tx, { accountId: user.accountId, limit: 3, cursor: "nonsense" })),
  ).rejects.toThrow(expect.objectContaining({ code: "invalid_cursor" }));
});
