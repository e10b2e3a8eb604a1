import { AppError, canonicalUsd, compareUsd, type LedgerEntryKind, negateUsd, type Usd } from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { sql } from "kysely";

/*
 * Movements of credits. Each has a key that names the fact behind it, so that a fact moves money once, however often it is reported:
 * `run:<id>:reserve`, `run:<id>:step:<n>`, `run:<id>:step:<n>:attempt:<m>`,
 * `run:<id>:step:<n>:summary:<id>`, `run:<id>:release`, `<kind>:<account>:<key of whoever grants>`.
 * Entries never change; the balance is their sum.
 */

interface Movement {
  accountId: string;
  runId: string | null;
  kind: LedgerEntryKind;
  /** Negative: taken from the account. */
  amountUsd: Usd;
  key: string;
  description: string;
}

/** `moved` is false if this fact has moved money before. The balance is the one after the movement. */
interface Moved {
  moved: boolean;
  balanceUsd: Usd;
}

const move = async (tx: Tx, movement: Movement): Promise<Moved> => {
  const { accountId, runId, kind, amountUsd, key, description } = movement;
  const result = await sql<Moved>`
    select moved, balance_usd as "balanceUsd"
    from cortex.move_credits(${accountId}, ${runId}, ${kind}, ${amountUsd}, ${key}, ${description})`.execute(tx);
  const [row] = result.rows;
  if (!row) throw new Error("a movement answers with one row");
  return { moved: row.moved, balanceUsd: canonicalUsd(row.balanceUsd) };
};

/** The balance; `0` for an account that never had a movement (or is not the caller's). */
export const getBalance = async (tx: Tx, input: { accountId: string }): Promise<Usd> => {
  const row = await tx
    .selectFrom("account_balances")
    .select("balance_usd")
    .where("account_id", "=", input.accountId)
    .executeTakeFirst();
  return canonicalUsd(row?.balance_usd ?? "0");
};

/** Holds credit back for a run that starts, in the transaction that opened the gate. Nothing to hold, nothing written. */
export const reserveForRun = async (
  tx: Tx,
  input: { accountId: string; runId: string; reserveUsd: Usd },
): Promise<void> => {
  const { accountId, runId, reserveUsd } = input;
  if (compareUsd(reserveUsd, "0") === 0) return;
  await move(tx, {
    accountId,
    runId,
    kind: "reserve",
    amountUsd: negateUsd(reserveUsd),
    key: `run:${runId}:reserve`,
    description: "Held back while the run is active",
  });
};

/** Gives back what was held for a run, in the transaction that ends it. */
export const releaseReservation = async (
  tx: Tx,
  input: { accountId: string; runId: string; reservedUsd: Usd },
): Promise<void> => {
  const { accountId, runId, reservedUsd } = input;
  if (compareUsd(reservedUsd, "0") === 0) return;
  await move(tx, {
    accountId,
    runId,
    kind: "release",
    amountUsd: reservedUsd,
    key: `run:${runId}:release`,
    description: "Held back until the run ended",
  });
};

/** What of a step is paid for: its answer, one that broke off, or a summary that was written for it. */
const stepFact = (input: { runId: string; step: number; brokenOffIn?: number; summary?: string }) => {
  const { brokenOffIn, summary } = input;
  const key = `run:${input.runId}:step:${input.step}`;
  const description = `Step ${input.step}`;
  if (summary !== undefined) {
    return { key: `${key}:summary:${summary}`, description: `${description}, a summary of the conversation` };
  }
  if (brokenOffIn === undefined) return { key, description };
  return { key: `${key}:attempt:${brokenOffIn}`, description: `${description}, an answer that broke off` };
};

/**
 * Charges what a step has cost, in the transaction that stores the step; a step that cost nothing leaves no entry. Last in its transaction
 * if possible: from here on the account's other settlements wait for the commit.
 * @param input.brokenOffIn the attempt whose answer broke off and is asked for again by a later one; the step itself is charged on its own
 * @param input.summary a summary of the conversation that was written before the step's own answer, charged on its own
 * @returns the balance afterwards, without what is held back
 */
export const settleUsage = async (
  tx: Tx,
  input: { accountId: string; runId: string; step: number; costUsd: Usd; brokenOffIn?: number; summary?: string },
): Promise<Usd> => {
  const { accountId, runId, costUsd } = input;
  if (compareUsd(costUsd, "0") === 0) return getBalance(tx, { accountId });
  const { balanceUsd } = await move(tx, {
    accountId,
    runId,
    kind: "usage",
    amountUsd: negateUsd(costUsd),
    ...stepFact(input),
  });
  return balanceUsd;
};

/**
 * Adds credits (`adjustment` may also take them away). `key` names the fact in the words of whoever grants, and counts within the account.
 * @returns `moved` false if this fact has been credited before
 */
export const grantCredits = async (
  tx: Tx,
  input: {
    accountId: string;
    kind: "grant" | "purchase" | "refund" | "adjustment";
    amountUsd: Usd;
    key: string;
    description: string;
  },
): Promise<Moved> => {
  const { accountId, kind, amountUsd, key, description } = input;
  if (kind !== "adjustment" && compareUsd(amountUsd, "0") <= 0) {
    throw new AppError("validation_failed", "The amount must be positive.");
  }
  return move(tx, { accountId, runId: null, kind, amountUsd, key: `${kind}:${accountId}:${key}`, description });
};
