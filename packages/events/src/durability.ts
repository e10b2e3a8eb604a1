import type { Redis } from "ioredis";

/** A managed Redis may keep its settings to itself. */
const unknown = "unknown";

/** Written to see whether Redis takes writes: one that is full answers, and is of no use. */
const probe = { key: "cortex:ready", livesMs: 60_000 };

/** What Redis promises about what it holds. Rejects if it does not answer, or refuses writes. */
export const readDurability = async (
  redis: Redis,
): Promise<{ appendonly: string; appendfsync: string; maxmemory_policy: string }> => {
  await redis.set(probe.key, "", "PX", probe.livesMs);
  const setting = async (name: string): Promise<string> => {
    try {
      const [, value] = await redis.config("GET", name);
      return value ?? unknown;
    } catch {
      return unknown; // CONFIG is refused: that says nothing about Redis being there
    }
  };
  const [appendonly, appendfsync, maxmemory_policy] = await Promise.all([
    setting("appendonly"),
    setting("appendfsync"),
    setting("maxmemory-policy"),
  ]);
  return { appendonly, appendfsync, maxmemory_policy };
};
