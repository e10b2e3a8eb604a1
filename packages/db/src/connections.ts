import { createHash } from "node:crypto";
import type { PostgresPool, PostgresPoolClient } from "kysely";
import type pg from "pg";

/** Statements of ours; far more than there are. Beyond it (texts that vary, by mistake) the rest is not kept. */
const mostNames = 1_000;

/** Postgres' "cached plan must not change result type": a migration has changed a table under a kept `select *`. */
const planIsStale = "0A000";

const isStalePlan = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === planIsStale;

/** The text that begins a transaction of reads (transaction.ts): nothing waits for its commit. */
export const beginReads = "begin isolation level repeatable read read only";

/**
 * A pool whose connections spend less on round trips and plans:
 *
 * - The statements that have parameters keep their plans (unless `prepare` is off). A connection with a stale plan is not used again, so a
 *   caller that tries once more (as transactions do) meets a fresh one.
 * - `begin` is not sent until the first statement of its transaction is, and goes with it. A transaction without statements sends nothing.
 * - A transaction of reads is committed when its connection is given back, and nobody waits for that.
 *
 * The pool must be in the driver's pipeline mode.
 */
export const quickConnections = (pool: pg.Pool, options: { prepare: boolean }): PostgresPool => {
  const names = new Map<string, string>();
  const nameOf = (text: string): string | null => {
    const known = names.get(text);
    if (known !== undefined) return known;
    if (names.size >= mostNames) return null;
    const name = createHash("sha1").update(text).digest("hex");
    names.set(text, name);
    return name;
  };

  const quick = (client: pg.PoolClient): PostgresPoolClient => {
    let broken = false;
    /** A `begin` that has not been sent. */
    let unsent: string | null = null;
    let reading = false;

    const send = (text: string, values: readonly unknown[]): Promise<pg.QueryResult> => {
      const name = values.length === 0 || !options.prepare ? null : nameOf(text);
      return client.query({ ...(name === null ? {} : { name }), text, values: [...values] });
    };

    const sendBoth = async (begin: string, text: string, values: readonly unknown[]): Promise<pg.QueryResult> => {
      reading = begin.startsWith(beginReads);
      // Both are written before either is answered; should the first fail, the second has failed with it.
      const [begun, done] = await Promise.allSettled([client.query(begin), send(text, values)]);
      if (begun.status === "rejected") {
        broken = true;
        throw begun.reason;
      }
      if (done.status === "rejected") throw done.reason;
      return done.value;
    };

    const query = async (text: string, values: readonly unknown[]): Promise<Partial<pg.QueryResult>> => {
      if (text.startsWith("begin")) {
        unsent = text;
        return nothing;
      }
      const begin = unsent;
      unsent = null;
      if (text === "commit" || text === "rollback") {
        if (begin !== null) return nothing;
        if (text === "commit" && reading) return nothing;
        reading = false;
      }
      try {
        return await (begin === null ? send(text, values) : sendBoth(begin, text, values));
      } catch (error) {
        broken ||= isStalePlan(error);
        throw error;
      }
    };

    const release = (): void => {
      if (!reading) {
        client.release(broken);
        return;
      }
      reading = false;
      client.query("commit").then(
        () => client.release(broken),
        () => client.release(true),
      );
    };
    // Cursors, the other form of `query`, are not used here.
    return { query: query as unknown as PostgresPoolClient["query"], release };
  };
  return { connect: async () => quick(await pool.connect()), end: () => pool.end(), options: pool.options };
};

/** The answer to what was not sent. */
const nothing: Partial<pg.QueryResult> = { rows: [] };
