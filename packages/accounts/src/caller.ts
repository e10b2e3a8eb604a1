import type { AccountRole } from "@cortex/contracts";
import { type RawBuilder, sql } from "kysely";

/** Whom a request acts for, as authentication found out. */
export interface Caller {
  userId: string;
  /** The account that the request names (`X-Account-Id`, or an API key's own); null: the caller's personal account. */
  accountId: string | null;
}

/**
 * The account that a caller acts for, as a derived table `(id, plan_id, role)`: one row, or none if it does not exist or is not the
 * caller's.
 */
export const actingAccount = (caller: Caller): RawBuilder<{ id: string; plan_id: string; role: AccountRole }> => sql`(
  select accounts.id, accounts.plan_id, members.role
  from cortex.accounts
    join cortex.account_members members on members.account_id = accounts.id and members.user_id = ${caller.userId}
  where ${caller.accountId === null ? sql`accounts.personal_user_id = ${caller.userId}` : sql`accounts.id = ${caller.accountId}`}
)`;

/** The role of the transaction's user in the account that a column names; null if there is none. */
export const callerRole = (accountColumn: string): RawBuilder<AccountRole | null> => sql<AccountRole | null>`(
  select members.role from cortex.account_members members
  where members.account_id = ${sql.ref(accountColumn)} and members.user_id = cortex.current_user_id()
)`;
