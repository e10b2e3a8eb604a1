import { sql } from "kysely";
import type { Db } from "./client.ts";
import { beginReads } from "./connections.ts";
import { CommitUnknown, isOutage } from "./outage.ts";

declare const inTransaction: unique symbol;

/** A `Db` inside a transaction that says whom it acts for. Functions that must not run outside of one take this. */
export type Tx = Db & { readonly [inTransaction]: true };

/** Whom a transaction acts for: a user of the API, or a worker on behalf of an account. Row-level security reads it. */
export interface Scope {
  userId: string | null;
  accountId: string | null;
  /** All statements see the database as it was at the first one. */
  snapshot?: boolean;
  /** The same for a transaction that only reads; nobody waits for its end. */
  reads?: boolean;
}

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The value goes into the text of a statement, so that `begin` and the settings are one round trip: only a uuid may. */
const literal = (id: string | null): string => {
  if (id === null) return "''";
  if (!uuid.test(id)) throw new TypeError("not a uuid");
  return `'${id}'`;
};

/**
 * Serialization failure, deadlock, and a kept plan that a migration has made stale: Postgres rolled back, the whole transaction may simply run
 * again.
 */
const retryable = new Set(["40001", "40P01", "0A000"]);
const maxTries = 4;

const codeOf = (error: unknown): string | null =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;

/** Is this the violation of a unique constraint or index (of that name, if one is given)? */
export const isUniqueViolation = (error: unknown, constraint?: string): boolean =>
  codeOf(error) === "23505" &&
  (constraint === undefined || (error instanceof Error && "constraint" in error && error.constraint === constraint));

/**
 * Runs `work` in a transaction of that scope; for code that serves the API and the workers alike. See `asUser` and `asAccount`. How long a
 * statement, a lock and an idle transaction may take is set on the roles, in the migration that makes them.
 * @throws CommitUnknown if the connection broke while the commit was under way
 */
export const inScope = async <Result>(db: Db, scope: Scope, work: (tx: Tx) => Promise<Result>): Promise<Result> => {
  const isolation = scope.snapshot ? "begin isolation level repeatable read" : "begin";
  const begin =
    `${scope.reads ? beginReads : isolation}; ` +
    `select set_config('app.user_id', ${literal(scope.userId)}, true), set_config('app.account_id', ${literal(scope.accountId)}, true)`;
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.connection().execute(async (connection) => {
        await sql.raw(begin).execute(connection);
        try {
          const result = await work(connection as Tx);
          await commit(connection);
          return result;
        } catch (error) {
          // A broken connection cannot roll back, and need not: the server does. The first error is the one that matters.
          await sql
            .raw("rollback")
            .execute(connection)
            .catch(() => undefined);
          throw error;
        }
      });
    } catch (error) {
      if (attempt >= maxTries || !retryable.has(codeOf(error) ?? "")) throw error;
    }
  }
};

const commit = async (connection: Db): Promise<void> => {
  try {
    await sql.raw("commit").execute(connection);
  } catch (error) {
    throw isOutage(error) ? new CommitUnknown(error) : error;
  }
};

/**
 * Runs `work` in a transaction that acts for a user: it sees the accounts the user is a member of, or only `accountId` if the caller
 * named one. Retried as a whole on serialization failures and deadlocks, so `work` must have no effect outside the database.
 */
export const asUser = <Result>(
  db: Db,
  scope: { userId: string; accountId: string | null; snapshot?: boolean; reads?: boolean },
  work: (tx: Tx) => Promise<Result>,
): Promise<Result> => inScope(db, scope, work);

/** The same for a worker that acts for the account of its run. */
export const asAccount = <Result>(
  db: Db,
  scope: { accountId: string; snapshot?: boolean; reads?: boolean },
  work: (tx: Tx) => Promise<Result>,
): Promise<Result> => inScope(db, { ...scope, userId: null }, work);

/** The same for fleet-wide work that touches control rows only (admission, sweepers). */
export const asFleet = <Result>(db: Db, work: (tx: Tx) => Promise<Result>): Promise<Result> =>
  inScope(db, { userId: null, accountId: null }, work);
