import { createHash } from "node:crypto";
import { AppError } from "@cortex/contracts";
import { jsonb, type Tx } from "@cortex/db";
import { sql } from "kysely";

/**
 * Idempotency keys: a request that is sent again gets its first answer again instead of a second effect.
 *
 * `begin`, the effect and `finish` belong into one transaction where the effect is in the database: a crash then leaves neither or both,
 * and a key is in flight exactly as long as that transaction. For effects elsewhere, `begin` commits on its own, and `finish` or
 * `abandon` follows in another transaction; if neither comes, the holder is taken for dead after `lockSeconds`.
 */

/** What is answered again. Only 2xx answers are kept: a failure may be tried again under the same key. */
export interface StoredAnswer {
  status: number;
  body: unknown;
  headers?: Record<string, string>;
}

export interface IdempotentRequest {
  /** The caller must have been found to be at least a member of it: viewers cannot store keys. */
  accountId: string;
  /** The client's `Idempotency-Key`: 1 to 255 characters. */
  key: string;
  /** Of everything that makes it the same request, see `hashRequest`. */
  requestHash: Buffer;
}

/** `token` says which holder of the key one is. */
export type IdempotencyClaim = { kind: "begun"; token: string } | { kind: "replay"; answer: StoredAnswer };

/** Beyond this a holder is dead. > the longest request (a transaction lasts 15 s at most, packages/db), or it would be overtaken alive. */
const lockSeconds = 60;

/** Promised by the contract; the purge keeps to the same number (supabase/migrations, purge_idempotency_keys). */
const keptDays = 7;

/** The hash of a request: its method and path belong to it, so that a key is never replayed on another route. */
export const hashRequest = (request: { method: string; path: string; body: Uint8Array | string }): Buffer =>
  createHash("sha256").update(`${request.method} ${request.path}\n`).update(request.body).digest();

/**
 * Takes the key, or says what was answered the first time. One statement, two in a race.
 *
 * The advisory lock makes a concurrent holder, whose row is not committed yet and so cannot be seen, an answer at once instead of a wait.
 * Errors: `idempotency_key_reused` (another request had this key), `idempotency_key_in_use` (in flight).
 */
export const beginIdempotent = async (tx: Tx, input: IdempotentRequest): Promise<IdempotencyClaim> => {
  const { accountId, key, requestHash } = input;
  // Again only if the first holder committed between this statement's snapshot and its lock: the next snapshot sees it.
  for (let tries = 0; tries < 3; tries++) {
    const result = await sql<{
      free: boolean;
      token: string | null;
      known: boolean;
      same: boolean;
      status: number | null;
      response: Omit<StoredAnswer, "status"> | null;
    }>`
      with gate as materialized (
        select pg_try_advisory_xact_lock(hashtextextended(${`idempotency ${accountId} ${key}`}, 0)) as free
      ), claimed as (
        insert into cortex.idempotency_keys as held (account_id, key, request_hash, locked_at, created_at)
        select ${accountId}, ${key}, ${requestHash}::bytea, clock_timestamp(), clock_timestamp() from gate where free
        on conflict (account_id, key) do update set
          request_hash = excluded.request_hash, locked_at = excluded.locked_at, created_at = excluded.created_at,
          status_code = null, response = null
        where held.created_at < now() - ${keptDays} * interval '1 day'
          or (held.status_code is null and held.request_hash = excluded.request_hash
            and held.locked_at < now() - ${lockSeconds} * interval '1 second')
        returning locked_at::text as token
      )
      select gate.free, claimed.token,
        coalesce(held.created_at >= now() - ${keptDays} * interval '1 day', false) as known,
        coalesce(held.request_hash = ${requestHash}::bytea, false) as same,
        held.status_code as status, held.response
      from gate
        left join claimed on true
        left join cortex.idempotency_keys held on held.account_id = ${accountId} and held.key = ${key}`.execute(tx);
    const [row] = result.rows;
    if (!row) throw new Error("a statement about one key must answer with one row");
    if (row.token !== null) return { kind: "begun", token: row.token };
    if (row.known && !row.same) {
      throw new AppError("idempotency_key_reused", "This Idempotency-Key was used for another request.");
    }
    if (row.known && row.status !== null && row.response) {
      return { kind: "replay", answer: { status: row.status, ...row.response } };
    }
    if (row.known || !row.free) break;
  }
  throw new AppError("idempotency_key_in_use", "The first request with this Idempotency-Key is still in flight.", {
    retry_after_ms: 1_000,
  });
};

/**
 * Keeps the answer. In the transaction of the effect, so that there is no effect without an answer and no answer without an effect.
 * Error: `idempotency_key_in_use`, if the holder was so slow that another one has the key: roll back.
 */
export const finishIdempotent = async (
  tx: Tx,
  input: IdempotentRequest & { token: string; answer: StoredAnswer },
): Promise<void> => {
  const { status, ...response } = input.answer;
  if (status < 200 || status > 299) throw new TypeError("only 2xx answers are kept");
  const result = await sql`
    update cortex.idempotency_keys set status_code = ${status}, response = ${jsonb(response)}
    where account_id = ${input.accountId} and key = ${input.key}
      and locked_at = ${input.token}::timestamptz and status_code is null`.execute(tx);
  if (result.numAffectedRows !== 1n) {
    throw new AppError("idempotency_key_in_use", "Another request has taken over this Idempotency-Key.");
  }
};

/** Lets go of a key whose request failed after `begin` had committed, so that it may be tried again at once. */
export const abandonIdempotent = async (tx: Tx, input: IdempotentRequest & { token: string }): Promise<void> => {
  await tx
    .deleteFrom("idempotency_keys")
    .where("account_id", "=", input.accountId)
    .where("key", "=", input.key)
    .where("locked_at", "=", sql<Date>`${input.token}::timestamptz`)
    .where("status_code", "is", null)
    .execute();
};

/** Removes keys past their time, of all accounts, a batch at a time. For the workers' sweeper. Returns how many. */
export const purgeIdempotencyKeys = async (db: Tx, input: { batch: number }): Promise<number> => {
  const result = await sql<{ purged: number }>`
    select cortex.purge_idempotency_keys(${input.batch}) as purged`.execute(db);
  return result.rows[0]?.purged ?? 0;
};
