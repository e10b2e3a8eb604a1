import { eventually } from "@cortex/testing";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createWorkplace, type Workplace } from "./testing/worker-fixture.ts";

let place: Workplace;
let redis: Redis;
beforeAll(async () => {
  place = await createWorkplace();
  redis = new Redis(place.redis.url);
});
afterAll(async () => {
  redis.disconnect();
  await place.close();
});

const runs = 100;

/** What of a key names a run or a job: the rest is its kind. */
const ids = /[0-9a-f]{8}-[0-9a-f-]{27}(-\d+)?/g;

test("a hundred runs leave in Redis what goes by itself, and nobody who listens", async () => {
  const worker = await place.aWorker({ WORKER_CONCURRENCY: "10" });
  const started = await Promise.all(Array.from({ length: runs }, () => place.start("[[say=hi]]")));
  for (const { runId } of started) await place.ended(runId, 60_000);
  await eventually(async () => (await place.rowOf(started.at(-1)?.runId ?? "")).log_cursor !== null);

  // Jobs are acknowledged a moment after their runs have ended.
  await eventually(async () => (await redis.llen("cortex:run-execute:active")) === 0, { timeoutMs: 20_000 });
  const kinds = new Map<string, { keys: number; withoutEnd: number }>();
  for (const key of await redis.keys("*")) {
    const kind = key.replace(ids, "<id>");
    const known = kinds.get(kind) ?? { keys: 0, withoutEnd: 0 };
    const isForEver = (await redis.ttl(key)) === -1;
    kinds.set(kind, { keys: known.keys + 1, withoutEnd: known.withoutEnd + (isForEver ? 1 : 0) });
  }
  const expectedKinds = new Map([
    ["agent_run:{<id>}:responses", { keys: runs, withoutEnd: 0 }],
    ["agent_run:{<id>}:meta", { keys: runs, withoutEnd: 0 }],
    // Kept for the dashboard, a thousand at most (kept in packages/queue/src/producer.ts).
    ["cortex:run-execute:run-<id>", { keys: runs, withoutEnd: runs }],
  ]);
  for (const [kind, expected] of expectedKinds) expect([kind, kinds.get(kind)]).toEqual([kind, expected]);
  // The queue's own, one of each.
  const own = [...kinds].filter(([kind]) => !expectedKinds.has(kind));
  for (const [kind, { keys }] of own) expect([kind, keys]).toEqual([kind, 1]);
  expect(own.map(([kind]) => kind).every((kind) => kind.startsWith("cortex:run-execute"))).toBe(true);
  expect(await redis.hget("cortex:run-execute:meta", "opts.maxLenEvents")).toBe("1000");
  // MAXLEN ~ drops whole nodes of a hundred entries.
  expect(await redis.xlen("cortex:run-execute:events")).toBeLessThanOrEqual(1_200);

  await eventually(async () => (await redis.pubsub("CHANNELS", "agent_run:*")).length === 0);
  expect(await worker.stop()).toMatchObject({ code: 0 });
}, 120_000);
