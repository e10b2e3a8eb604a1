import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "./eventually.ts";
import { createFaultProxy, type FaultProxy } from "./fault-proxy.ts";
import { createTestRedis, type TestRedis } from "./redis.ts";

let redis: TestRedis;
let proxy: FaultProxy;
let client: Redis;

beforeAll(async () => {
  redis = await createTestRedis();
  const { hostname, port } = new URL(redis.url);
  proxy = await createFaultProxy({ host: hostname, port: Number(port) });
  client = new Redis(proxy.through(redis.url), {
    retryStrategy: () => 10,
    maxRetriesPerRequest: 0,
    commandTimeout: 200,
  });
  client.on("error", () => null);
});

afterAll(async () => {
  client.disconnect();
  await proxy.close();
  await redis.drop();
});

const answers = () => client.ping().then(() => true);

test("it passes, and delays", async () => {
  expect(await client.ping()).toBe("PONG");
  proxy.delay(30);
  const start = performance.now();
  await client.ping();
  expect(performance.now() - start).toBeGreaterThan(55);
  proxy.delay(0);
});

test("a black hole keeps connections open and lets nothing through until it ends", async () => {
  await proxy.set("blackhole");
  await expect(client.incr("hole")).rejects.toThrow("timed out");
  expect(client.status).toBe("ready");
  await proxy.set("pass");
  await eventually(answers);
  expect(await client.get("hole")).toBe("1");
});

test("a mute server does what it is asked and its answers are lost", async () => {
  await proxy.set("mute");
  await expect(client.incr("mute")).rejects.toThrow("timed out");
  proxy.cut();
  await proxy.set("pass");
  await eventually(answers);
  expect(await client.get("mute")).toBe("1");
});

test("reset and refuse end connections, and both can be healed", async () => {
  for (const fault of ["reset", "refuse"] as const) {
    await proxy.set(fault);
    await expect(client.incr("never")).rejects.toThrow(/max retries|timed out/);
    await proxy.set("pass");
    await eventually(answers);
  }
  expect(await client.get("never")).toBe(null);
});
