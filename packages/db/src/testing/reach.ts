import pg from "pg";
import { accountColumn, type Command, type RoleName, tables } from "./schema-access.ts";

/*
 * What a transaction can reach by itself, whatever our code asks for. Everything is tried blindly (no WHERE that would hide what a policy
 * lets through) and counted.
 */

/** Who acts, and for which accounts it may read and write. */
export interface Actor {
  name: string;
  role: RoleName;
  userId: string | null;
  accountId: string | null;
  reads: readonly string[];
  writes: readonly string[];
}

/** How a probe becomes the actor: by its own login, or (inside the owner's transaction) by `set role`. */
export type Stage = (actor: Actor) => { client: pg.Client; prelude: string };

/** How many rows a statement reached; null: it was refused. A violated constraint means that row-level security let it through. */
const attempt = async (
  stage: Stage,
  actor: Actor,
  statement: string,
  values: unknown[] = [],
): Promise<number | null> => {
  const { client, prelude } = stage(actor);
  await client.query(
    `savepoint probe; ${prelude} select set_config('app.user_id', '${actor.userId ?? ""}', true), ` +
      `set_config('app.account_id', '${actor.accountId ?? ""}', true)`,
  );
  try {
    const result = await client.query<{ count?: string }>(statement, values);
    return Number(result.rows[0]?.count ?? result.rowCount);
  } catch (error) {
    const code = error instanceof pg.DatabaseError ? (error.code ?? "") : "";
    if (code === "42501") return null;
    if (code.startsWith("23")) return 1;
    throw error;
  } finally {
    await client.query("rollback to savepoint probe; release savepoint probe");
  }
};

/** What only the owner can know of a table: a row of each account as JSON, how many each has, and a column that may be overwritten. */
export interface TableFacts {
  byAccount: Map<string, { account: string; rows: number; sample: unknown }>;
  /** What a harmless update writes: a time, or (in the few tables without one) a column as it is. */
  touch: string;
}

export const readTableFacts = async (owner: pg.Client, table: string): Promise<TableFacts> => {
  const { scope } = tables[table] ?? { scope: "house" };
  const account = scope === "house" ? "''" : `${accountColumn(table)}::text`;
  const rows = await owner.query<{ account: string; rows: number; sample: unknown }>(
    `select ${account} as account, count(*)::int as rows, (array_agg(to_jsonb(t)))[1] as sample from cortex.${table} t group by 1`,
  );
  const columns = await owner.query<{ touch: string }>(
    `select attname || ' = ' || case when atttypid = 'timestamptz'::regtype then 'now()' else attname end as touch
     from pg_attribute where attrelid = $1::regclass and attnum > 0 and not attisdropped
     order by not (atttypid = 'timestamptz'::regtype and attnotnull), attname <> 'updated_at',
       atttypid <> 'timestamptz'::regtype, attnum limit 1`,
    [`cortex.${table}`],
  );
  const touch = columns.rows[0]?.touch;
  if (touch === undefined) throw new Error(`${table} has no column`);
  return { byAccount: new Map(rows.rows.map((row) => [row.account, row])), touch };
};

/** Everything about one table that is not as it should be, one sentence each. `stranger` is an account of no actor. */
export const findings = async (
  stage: Stage,
  input: { table: string; facts: TableFacts; actors: readonly Actor[]; stranger: string },
): Promise<string[]> => {
  const { table, actors, stranger } = input;
  const { byAccount, touch } = input.facts;
  const access = tables[table];
  if (!access) return [`${table} is not in the table of access`];
  const found: string[] = [];

  for (const actor of actors) {
    const allowed = actor.role === "cortex_api" ? access.api : access.worker;
    const everything = access.scope === "house" || (access.scope === "fleet" && actor.role === "cortex_worker");
    const rowsOf = (accounts: readonly string[]) =>
      [...byAccount.values()].reduce(
        (sum, { account, rows }) => sum + (everything || accounts.includes(account) ? rows : 0),
        0,
      );
    const expectRows = async (command: Command, accounts: readonly string[], statement: string) => {
      const reached = (await attempt(stage, actor, statement)) ?? 0;
      const expected = allowed.includes(command) ? rowsOf(accounts) : 0;
      if (reached !== expected)
        found.push(`${table}: ${actor.name}: ${command} reaches ${reached} rows, not ${expected}`);
    };

    await expectRows("select", access.membersOnly ? actor.writes : actor.reads, `select count(*) from cortex.${table}`);
    await expectRows("update", actor.writes, `update cortex.${table} set ${touch}`);
    await expectRows("delete", actor.writes, `delete from cortex.${table}`);

    for (const [account, { sample }] of byAccount) {
      const may = allowed.includes("insert") && (everything || actor.writes.includes(account));
      const statement = `insert into cortex.${table} overriding system value select (jsonb_populate_record(null::cortex.${table}, $1)).*`;
      const inserted = await attempt(stage, actor, statement, [JSON.stringify(sample)]);
      if ((inserted !== null) !== may) {
        found.push(`${table}: ${actor.name}: insert is ${may ? "refused" : "let through"}`);
      }
    }
    if (!everything) {
      const moved = await attempt(stage, actor, `update cortex.${table} set ${accountColumn(table)} = '${stranger}'`);
      if ((moved ?? 0) > 0) found.push(`${table}: ${actor.name}: rows are given away to another account`);
    }
  }
  return found;
};
