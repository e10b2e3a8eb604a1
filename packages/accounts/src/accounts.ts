import type { Account, AccountRole, Me } from "@cortex/contracts";
import { asUser, type Db, type Tx } from "@cortex/db";
import { sql } from "kysely";
import { actingAccount, type Caller } from "./caller.ts";

/** Every account that the user is a member of: the personal one first, then by name. */
export const listAccounts = async (tx: Tx, input: { userId: string }): Promise<Account[]> => {
  const rows = await tx
    .selectFrom("accounts")
    .innerJoin("account_members", "account_members.account_id", "accounts.id")
    .select([
      "accounts.id",
      "accounts.kind",
      "accounts.name",
      "accounts.plan_id",
      "account_members.role",
      "accounts.created_at",
    ])
    .where("account_members.user_id", "=", input.userId)
    .orderBy("accounts.kind")
    .orderBy("accounts.name")
    .orderBy("accounts.id")
    .execute();
  return rows.map((row) => ({ ...row, id: row.id as Account["id"], created_at: row.created_at.toISOString() }));
};

/**
 * The caller and its accounts. Makes the personal account if sign-up did not (a user from before Cortex was installed).
 * @returns null if there is no such user any more: a token outlives its deleted user by up to its lifetime
 */
export const getMe = (db: Db, input: { userId: string; email: string | null }): Promise<Me | null> =>
  asUser(db, { userId: input.userId, accountId: null }, async (tx) => {
    let accounts = await listAccounts(tx, input);
    if (!accounts.some((account) => account.kind === "personal")) {
      await sql`select cortex.ensure_personal_account()`.execute(tx);
      accounts = await listAccounts(tx, input);
    }
    if (accounts.length === 0) return null;
    return { user: { id: input.userId as Me["user"]["id"], email: input.email }, accounts };
  });

export interface ActingAccount {
  accountId: string;
  planId: string;
  role: AccountRole;
}

/** The account that a request acts for; null if it does not exist or is not the caller's. */
export const findActingAccount = async (tx: Tx, caller: Caller): Promise<ActingAccount | null> => {
  const found = await sql<ActingAccount>`
    select acting.id as "accountId", acting.plan_id as "planId", acting.role from ${actingAccount(caller)} acting`.execute(
    tx,
  );
  return found.rows[0] ?? null;
};
