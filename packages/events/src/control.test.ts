import { silentLogger } from "@cortex/observability";
import { createTestRedis, eventually, type TestRedis } from "@cortex/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createControlListener, publishStop } from "./control.ts";
import { logKeys } from "./keys.ts";
import { connectRedis } from "./redis-connection.ts";

let service: TestRedis;
beforeAll(async () => {
  service = await createTestRedis();
});
afterAll(() => service.drop());

test("a request to stop is heard for the run it names; what a newer version asks for is not taken for one", async () => {
  const redis = connectRedis({ url: service.url, name: "test", log: silentLogger() });
  const stopped: string[] = [];
  const control = createControlListener({ redis, log: silentLogger() }, ({ runId }) => void stopped.push(runId));
  const [mine, other] = [crypto.randomUUID(), crypto.randomUUID()];
  const leave = control.watch(mine);
  const { control: channel } = logKeys(mine);
  await eventually(async () => ((await redis.pubsub("NUMSUB", channel)) as [string, number])[1] === 1);
  for (const text of ['{"type":"pause"}', "no JSON", "null", "[]", '"stop"']) await redis.publish(channel, text);
  await publishStop(redis, other);
  await redis.publish(channel, '{"type":"stop","because":"of a newer version"}');
  await eventually(() => stopped.length > 0);
  expect(stopped).toEqual([mine]);
  leave();
  await eventually(async () => ((await redis.pubsub("NUMSUB", channel)) as [string, number])[1] === 0);
  control.close();
  redis.disconnect();
});
