import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { createTestDatabase } from "./database.ts";
import { createTestRedis } from "./redis.ts";
import { withClient } from "./template.ts";

test("a test database is migrated, and its three logins are who they say", async () => {
  const database = await createTestDatabase();
  const who = (url: string) =>
    withClient(url, async (client) => {
      const sql = "select current_user as name, to_regclass('cortex.agent_runs')::text as runs";
      return (await client.query<{ name: string; runs: string | null }>(sql)).rows;
    });
  expect(await who(database.ownerUrl)).toEqual([{ name: "postgres", runs: "cortex.agent_runs" }]);
  expect(await who(database.apiUrl)).toEqual([{ name: "cortex_api", runs: "cortex.agent_runs" }]);
  expect(await who(database.workerUrl)).toEqual([{ name: "cortex_worker", runs: "cortex.agent_runs" }]);
  await database.drop();
  await expect(who(database.ownerUrl)).rejects.toThrow("does not exist");
});

test("test databases see nothing of each other", async () => {
  const [one, other] = await Promise.all([createTestDatabase(), createTestDatabase()]);
  await withClient(one.ownerUrl, (client) => client.query("create table only_here ()"));
  const seen = await withClient(other.ownerUrl, (client) => client.query("select to_regclass('only_here') as found"));
  expect(seen.rows).toEqual([{ found: null }]);
  await Promise.all([one.drop(), other.drop()]);
});

test("a test Redis is empty, and apart from the next one", async () => {
  const [one, other] = await Promise.all([createTestRedis(), createTestRedis()]);
  const [first, second] = [new Redis(one.url), new Redis(other.url)];
  await first.set("key", "value");
  expect(await second.keys("*")).toEqual([]);
  await one.drop();
  expect(await first.keys("*")).toEqual([]);
  first.disconnect();
  second.disconnect();
});

test("a Redis of one's own can be killed and keeps its address and its data", async () => {
  const server = await createTestRedis({ own: true });
  const client = new Redis(server.url);
  await client.set("key", "value");
  await client.config("SET", "appendfsync", "always");
  await client.set("key", "later");
  client.disconnect();
  await server.kill();
  await server.start();
  const again = new Redis(server.url);
  expect(await again.get("key")).toBe("later");
  again.disconnect();
  await server.drop();
});
