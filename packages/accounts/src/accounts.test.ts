import { randomUUID } from "node:crypto";
import { Me } from "@cortex/contracts";
import { asUser, type Database, openDatabase } from "@cortex/db";
import { silentLogger } from "@cortex/observability";
import { aMember, anAccount, aUser, createTestDatabase, type TestDatabase } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hasRole, requireRole } from "./account-role.ts";
import { findActingAccount, getMe, listAccounts } from "./accounts.ts";

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

/** A user without an account, as one who signed up before Cortex was installed. */
const aUserFromBefore = async () => {
  const user = await aUser(database.owner);
  await database.owner.query("delete from cortex.accounts where id = $1", [user.accountId]);
  return user;
};

test("me: the user and every account, the personal one first, with the role in each", async () => {
  const user = await aUser(database.owner, { email: "ada@example.com" });
  const team = await anAccount(database.owner, { name: "Analysts" });
  await anAccount(database.owner, { name: "Strangers" });
  await aMember(database.owner, { accountId: team.accountId, userId: user.userId, role: "viewer" });

  const me = await getMe(api.db, { userId: user.userId, email: user.email });
  expect(Me.parse(me)).toEqual(me);
  expect(me?.user).toEqual({ id: user.userId, email: "ada@example.com" });
  expect(me?.accounts.map(({ name, kind, role }) => ({ name, kind, role }))).toEqual([
    { name: "ada", kind: "personal", role: "owner" },
    { name: "Analysts", kind: "team", role: "viewer" },
  ]);
});

test("a user whose sign-up made no account gets one, once, with its default agent, however many ask at once", async () => {
  const { userId } = await aUserFromBefore();
  const answers = await Promise.all(Array.from({ length: 6 }, () => getMe(api.db, { userId, email: null })));
  const ids = new Set(answers.map((me) => me?.accounts[0]?.id));
  expect(ids.size).toBe(1);
  const { rows } = await database.owner.query(
    `select count(distinct accounts.id)::int as accounts, count(distinct agents.id)::int as agents, min(members.role) as role
     from cortex.accounts join cortex.agents on agents.account_id = accounts.id and agents.is_default
       join cortex.account_members members on members.account_id = accounts.id
     where personal_user_id = $1`,
    [userId],
  );
  expect(rows).toEqual([{ accounts: 1, agents: 1, role: "owner" }]);
});

test("a deleted user is nobody", async () => {
  const { userId } = await aUser(database.owner);
  await database.owner.query("delete from auth.users where id = $1", [userId]);
  expect(await getMe(api.db, { userId, email: null })).toBeNull();
  expect(await getMe(api.db, { userId: randomUUID(), email: null })).toBeNull();
});

test("the account that a request acts for is the personal one unless it names another of the caller's", async () => {
  const user = await aUser(database.owner, { planId: "free" });
  const team = await anAccount(database.owner, { planId: "local" });
  const foreign = await anAccount(database.owner);
  await aMember(database.owner, { accountId: team.accountId, userId: user.userId, role: "admin" });
  const acting = (accountId: string | null) => {
    const caller = { userId: user.userId, accountId };
    return asUser(api.db, caller, (tx) => findActingAccount(tx, caller));
  };
  expect(await acting(null)).toEqual({ accountId: user.accountId, planId: "free", role: "owner" });
  expect(await acting(team.accountId)).toEqual({ accountId: team.accountId, planId: "local", role: "admin" });
  expect(await acting(foreign.accountId)).toBeNull();
  expect(await acting(randomUUID())).toBeNull();
});

test("the accounts of somebody else are not listed, even when asked for by name", async () => {
  const [user, other] = await Promise.all([aUser(database.owner), aUser(database.owner)]);
  const listed = await asUser(api.db, { userId: user.userId, accountId: null }, (tx) =>
    listAccounts(tx, { userId: other.userId }),
  );
  expect(listed).toEqual([]);
});

test("roles are ordered, and what is not reached is forbidden", () => {
  expect(hasRole("owner", "admin")).toBe(true);
  expect(hasRole("member", "member")).toBe(true);
  expect(hasRole("viewer", "member")).toBe(false);
  expect(hasRole(null, "viewer")).toBe(false);
  expect(() => requireRole("admin", "member")).not.toThrow();
  expect(() => requireRole("viewer", "member")).toThrow(expect.objectContaining({ code: "forbidden" }));
});
