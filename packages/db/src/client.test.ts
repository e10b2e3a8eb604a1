import { silentLogger } from "@cortex/observability";
import { createFaultProxy, createTestDatabase, eventually } from "@cortex/testing";
import { sql } from "kysely";
import { expect, onTestFinished, test } from "vitest";
import { openDatabase } from "./client.ts";
import { asFleet } from "./transaction.ts";

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
  await expect(asFleet(db, end)).rejects.toThrow(/terminat|connection/i);
  expect((await one()).rows).toEqual([{ one: 1 }]);
  await end();
  await eventually(() => one().then(() => true));
});
