import { silentLogger } from "@cortex/observability";
import { createFaultProxy, createTestDatabase, eventually } from "@cortex/testing";
import { sql } from "kysely";
import { expect, onTestFinished, test } from "vitest";
import { openDatabase } from "./client.ts";
import { CommitUnknown } from "./outage.ts";
import { asAccount, asFleet, inScope, type Tx } from "./transaction.ts";

const aDatabase = async () => {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  const { hostname, port } = new URL(database.workerUrl);
  const proxy = await createFaultProxy({ host: hostname, port: Number(port) });
  onTestFinished(() => proxy.close());
  const url = proxy.through(database.workerUrl);
  const opened = openDatabase({ url, poolSize: 1, name: "silence", silenceMs: 300, log: silentLogger() });
  onTestFinished(() => opened.close());
  return { database, proxy, db: opened.db };
};

test("a network that swallows everything fails what is under way, and the next statement works when it is back", async () => {
  const { proxy, db } = await aDatabase();
  const one = () => sql`select 1 as one`.execute(db);
  await one();
  await proxy.set("blackhole");
  await expect(one()).rejects.toThrow("silent for 300 ms");
  await proxy.set("pass");
  expect((await one()).rows).toEqual([{ one: 1 }]);
});

test("a connection that Postgres ends, idle or in a transaction, costs what was under way and nothing else", async () => {
  const { database, db } = await aDatabase();
  const end = () =>
    database.owner.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'silence'");
  const one = () => asFleet(db, (tx) => sql`select 1 as one`.execute(tx));
  await one();
  const cutShort = asFleet(db, async (tx) => {
    await sql`select 1 as one`.execute(tx);
    await end();
  });
  await expect(cutShort).rejects.toBeInstanceOf(CommitUnknown);
  expect((await one()).rows).toEqual([{ one: 1 }]);
  await end();
  await eventually(() => one().then(() => true));
});

test("a transaction of reads agrees with itself, writes nothing, and leaves the connection as it was", async () => {
  const { db } = await aDatabase();
  const reads = <Result>(work: (tx: Tx) => Promise<Result>) =>
    inScope(db, { userId: null, accountId: null, reads: true }, work);
  const settings = (tx: Tx) =>
    sql<{ own: string }>`select current_setting('transaction_read_only') as own`
      .execute(tx)
      .then(({ rows }) => rows[0]?.own);
  expect(await reads(settings)).toBe("on");
  await expect(reads((tx) => sql`create temp table t ()`.execute(tx))).rejects.toThrow("read-only");
  expect(await asFleet(db, settings)).toBe("off");
  // Whom a transaction acted for is forgotten with it.
  const accountId = crypto.randomUUID();
  const scope = (tx: Tx) =>
    sql<{ id: string }>`select current_setting('app.account_id', true) as id`
      .execute(tx)
      .then(({ rows }) => rows[0]?.id);
  expect(await asAccount(db, { accountId }, scope)).toBe(accountId);
  expect(await asFleet(db, scope)).toBe("");
  expect(await sql<{ id: string }>`select current_setting('app.account_id', true) as id`.execute(db)).toMatchObject({
    rows: [{ id: "" }],
  });
});

test("a statement that fails undoes its transaction, and the next one finds the connection clean", async () => {
  const { db } = await aDatabase();
  await expect(asFleet(db, (tx) => sql`select 1 / ${0}::int`.execute(tx))).rejects.toThrow("division by zero");
  const again = asFleet(db, (tx) => sql<{ one: number }>`select ${1}::int as one`.execute(tx));
  expect((await again).rows).toEqual([{ one: 1 }]);
});

test("each role waits for a lock, then for its statement, then its client gives up, then its lease ends", async () => {
  const { database } = await aDatabase();
  const patience = async (url: string) => {
    const opened = openDatabase({ url, poolSize: 1, name: "patience", log: silentLogger() });
    onTestFinished(() => opened.close());
    const { rows } = await sql<{ name: string; ms: number }>`
      select name, setting::int as ms from pg_settings
      where name in ('lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout') order by name`.execute(
      opened.db,
    );
    return rows.map(({ ms }) => ms);
  };
  // idle in a transaction, lock, statement; the default silence is 8 s, the API's 6 s.
  expect(await patience(database.apiUrl)).toEqual([5_000, 2_000, 5_000]);
  expect(await patience(database.workerUrl)).toEqual([5_000, 4_000, 6_000]);
});
