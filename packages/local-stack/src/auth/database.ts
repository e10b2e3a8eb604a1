import { createHash } from "node:crypto";
import type pg from "pg";

/** What answers a query: the pool, or the one connection that holds a transaction. */
export interface Queryable {
  query<Row extends pg.QueryResultRow>(
    query: string | pg.QueryConfig,
    values?: unknown[],
  ): Promise<pg.QueryResult<Row>>;
}

/** The pool of the auth server. Its functions that need more than one statement take a connection by `inTransaction`. */
export interface AuthDatabase extends Queryable {
  connect(): Promise<pg.PoolClient>;
}

/**
 * The first row, or null. The statement is prepared under a name made of its text: planning the larger ones takes longer than running
 * them. (Safe here: nothing stands between this server and the stack's own Postgres that would mix up connections.)
 */
export async function findOne<Row extends pg.QueryResultRow>(
  db: Queryable,
  text: string,
  values: unknown[],
): Promise<Row | null> {
  const name = createHash("sha1").update(text).digest("base64url");
  const { rows } = await db.query<Row>({ name, text, values });
  return rows[0] ?? null;
}

/** Runs `work` in a transaction on one connection: commits what it returns, rolls back what it throws. */
export async function inTransaction<Result>(
  db: AuthDatabase,
  work: (tx: Queryable) => Promise<Result>,
): Promise<Result> {
  const connection = await db.connect();
  let broken = false;
  try {
    await connection.query("begin");
    const result = await work(connection);
    await connection.query("commit");
    return result;
  } catch (error) {
    // A connection that cannot even roll back is thrown away instead of being handed to the next caller.
    await connection.query("rollback").catch(() => {
      broken = true;
    });
    throw error;
  } finally {
    connection.release(broken);
  }
}
