import { type ActingAccount, findActingAccount } from "@cortex/accounts";
import { asUser, type Db, type Tx } from "@cortex/db";
import type { RequestCaller } from "./request-context.ts";
import { found } from "./route-parts.ts";

/** The account that a request acts for. @throws AppError `not_found`, if the account that it names is not the caller's */
export const actingAccount = async (tx: Tx, caller: RequestCaller): Promise<ActingAccount> =>
  found(await findActingAccount(tx, caller), "account");

/**
 * For routes whose answer is the same for every account, or a list that would just be empty: naming a foreign account is refused all the same.
 * Costs nothing if none is named.
 */
export const requireActingAccount = async (deps: { db: Db }, caller: RequestCaller): Promise<void> => {
  if (caller.accountId !== null) await asUser(deps.db, caller, (tx) => actingAccount(tx, caller));
};
