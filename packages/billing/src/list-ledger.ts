import { AppError, canonicalUsd, type LedgerEntry, type ListQuery, type Page } from "@cortex/contracts";
import type { Tx } from "@cortex/db";

/** A cursor of the ledger is the id of the last entry shown. Eighteen digits always fit into a bigint. */
const pattern = /^\d{1,18}$/;

/** The movements of an account, newest first. Error: `invalid_cursor`. */
export const listLedger = async (tx: Tx, input: { accountId: string } & ListQuery): Promise<Page<LedgerEntry>> => {
  const before = input.cursor === undefined ? null : Buffer.from(input.cursor, "base64url").toString();
  if (before !== null && !pattern.test(before)) throw new AppError("invalid_cursor", "The cursor is not one of ours.");
  let query = tx
    .selectFrom("ledger_entries")
    .select(["id", "kind", "amount_usd", "run_id", "description", "created_at"])
    .where("account_id", "=", input.accountId);
  if (before !== null) query = query.where("id", "<", before);
  const rows = await query
    .orderBy("id", "desc")
    .limit(input.limit + 1)
    .execute();
  const shown = rows.slice(0, input.limit);
  const last = rows.length > input.limit ? shown.at(-1) : undefined;
  return {
    data: shown.map((row) => ({
      ...row,
      amount_usd: canonicalUsd(row.amount_usd),
      run_id: row.run_id as LedgerEntry["run_id"],
      created_at: row.created_at.toISOString(),
    })),
    next_cursor: last === undefined ? null : Buffer.from(last.id).toString("base64url"),
  };
};
