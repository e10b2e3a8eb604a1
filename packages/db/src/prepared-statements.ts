import { createHash } from "node:crypto";
import type { PostgresPool, PostgresPoolClient } from "kysely";
import type pg from "pg";

/** Statements of ours; far more than there are. Beyond it (texts that vary, by mistake) the rest is not kept. */
const mostNames = 1_000;

/** Postgres' "cached plan must not change result type": a migration has changed a table under a kept `select *`. */
const planIsStale = "0A000";

const isStalePlan = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === planIsStale;

/**
 * A pool whose connections keep the plans of the statements that have parameters. A connection with a stale plan is not used again, so a
 * caller that tries once more (as transactions do) meets a fresh one.
 */
export const preparing = (pool: pg.Pool): PostgresPool => {
  const names = new Map<string, string>();
  const nameOf = (text: string): string | null => {
    const known = names.get(text);
    if (known !== undefined) return known;
    if (names.size >= mostNames) return null;
    const name = createHash("sha1").update(text).digest("hex");
    names.set(text, name);
    return name;
  };
  const keepPlans = (client: pg.PoolClient): PostgresPoolClient => {
    let stale = false;
    const query = async (text: string, values: readonly unknown[]) => {
      const name = values.length === 0 ? null : nameOf(text);
      try {
        return await client.query({ ...(name === null ? {} : { name }), text, values: [...values] });
      } catch (error) {
        stale ||= isStalePlan(error);
        throw error;
      }
    };
    return {
      // Cursors, the other form of this function, are not used here.
      query: query as unknown as PostgresPoolClient["query"],
      release: () => client.release(stale),
    };
  };
  return { connect: async () => keepPlans(await pool.connect()), end: () => pool.end(), options: pool.options };
};
