import { silentLogger } from "@cortex/observability";
import { createFaultProxy, createTestRedis, eventually, type TestRedis } from "@cortex/testing";
import { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { createControlListener, publishStop } from "./control.ts";
import { createSubscriber, type Subscriber } from "./subscriber.ts";

let service: TestRedis;
let redis: Redis;
const subscribers: Subscriber[] = [];

beforeAll(async () => {
  service = await createTestRedis();
  redis = new Redis(service.url);
});
afterEach(() => {
  for (const subscriber of subscribers.splice(0)) subscriber.close();
});
afterAll(async () => {
  redis.disconnect();
  await service.drop();
});

const open = (from = redis): Subscriber => {
  const subscriber = createSubscriber({ redis: from, log: silentLogger() });
  subscribers.push(subscriber);
  return subscriber;
};

const ear = () => {
  const heard: string[] = [];
  return {
    heard,
    listener: { message: (text: string) => void heard.push(text), subscribed: () => void heard.push("subscribed") },
  };
};

const channelName = () => `test:${crypto.randomUUID()}`;
const subscriptions = async (channel: string) => Number((await redis.pubsub("NUMSUB", channel))[1]);

test("a message published after the acknowledgement is heard", async () => {
  const subscriber = open();
  const channel = channelName();
  const { heard, listener } = ear();
  subscriber.listen(channel, listener);
  await eventually(() => heard.length === 1);
  await redis.publish(channel, "one");
  await eventually(() => heard.length === 2);
  expect(heard).toEqual(["subscribed", "one"]);
});

test("many listeners share one subscription and one connection; it ends with the last of them", async () => {
  const subscriber = open();
  const channel = channelName();
  const ears = Array.from({ length: 20 }, ear);
  const leaves = ears.map(({ listener }) => subscriber.listen(channel, listener));
  await eventually(() => ears.every(({ heard }) => heard.includes("subscribed")));
  expect(await subscriptions(channel)).toBe(1);
  await redis.publish(channel, "all");
  await eventually(() => ears.every(({ heard }) => heard.includes("all")));
  for (const leave of leaves.slice(1)) leave();
  await redis.publish(channel, "one");
  await eventually(() => ears[0]?.heard.includes("one"));
  expect(ears[1]?.heard.includes("one")).toBe(false);
  leaves[0]?.();
  leaves[0]?.();
  await eventually(async () => (await subscriptions(channel)) === 0);
});

test("leaving and joining in one breath ends in a subscription that is acknowledged and hears", async () => {
  const subscriber = open();
  const channel = channelName();
  for (let round = 0; round < 50; round++) subscriber.listen(channel, ear().listener)();
  const { heard, listener } = ear();
  subscriber.listen(channel, listener);
  await eventually(() => heard.length > 0);
  await redis.publish(channel, "hello");
  await eventually(() => heard.at(-1) === "hello");
  expect(heard).toEqual(["subscribed", "hello"]);
});

test("a listener that throws harms nobody", async () => {
  const subscriber = open();
  const channel = channelName();
  const broken = () => {
    throw new Error("broken listener");
  };
  subscriber.listen(channel, { message: broken, subscribed: broken });
  const { heard, listener } = ear();
  subscriber.listen(channel, listener);
  await eventually(() => heard.includes("subscribed"));
  await redis.publish(channel, "still");
  await eventually(() => heard.includes("still"));
});

test("after a lost connection every channel is subscribed again, and everybody is told to look", async () => {
  const { hostname, port } = new URL(service.url);
  const proxy = await createFaultProxy({ host: hostname, port: Number(port) });
  const through = new Redis(proxy.through(service.url), { retryStrategy: () => 10 });
  through.on("error", () => null);
  const subscriber = open(through);
  // More than one batch.
  const all = Array.from({ length: 1_200 }, () => ({ channel: channelName(), ...ear() }));
  for (const { channel, listener } of all) subscriber.listen(channel, listener);
  await eventually(() => all.every(({ heard }) => heard.length === 1));
  for (const fault of ["reset", "refuse"] as const) {
    for (const { heard } of all) heard.length = 0;
    await proxy.set(fault);
    await proxy.set("pass");
    await eventually(() => all.every(({ heard }) => heard.length === 1));
    await Promise.all(all.map(({ channel }) => redis.publish(channel, "news")));
    await eventually(() => all.every(({ heard }) => heard.join() === "subscribed,news"));
  }
  through.disconnect();
  subscriber.close();
  await proxy.close();
});

test("a stop request reaches the worker that watches the run, and no other", async () => {
  const stopped: string[] = [];
  const control = createControlListener({ redis, log: silentLogger() }, ({ runId }) => void stopped.push(runId));
  const [mine, other] = [crypto.randomUUID(), crypto.randomUUID()];
  const leave = control.watch(mine);
  await eventually(async () => (await subscriptions(`agent_run:{${mine}}:control`)) === 1);
  await publishStop(redis, other);
  await publishStop(redis, mine);
  await eventually(() => stopped.length > 0);
  expect(stopped).toEqual([mine]);
  leave();
  await eventually(async () => (await subscriptions(`agent_run:{${mine}}:control`)) === 0);
  control.close();
});
