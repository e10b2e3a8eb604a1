import { AppError } from "@cortex/contracts";
import type { Logger } from "@cortex/observability";
import type { Redis, Result } from "ioredis";
import { holdSlotScript } from "./slot-script.ts";

/** How many streams may be open at once. */
export interface SlotLimits {
  /** Of one run by one user, in all processes together. */
  perRun: number;
  /** By one user, in all processes together. */
  perUser: number;
  /** In this process. */
  perProcess: number;
}

/** One stream's place. */
export interface Slot {
  /** Rejects with AppError `too_many_streams` (and when to come back) if there is no place. */
  taken: Promise<void>;
  /** Gives the place back, also one that is still being asked for. */
  release(): void;
}

export interface StreamSlots {
  /** @param input.lost called once if the place goes to somebody else: a newer stream of the same user */
  take(input: { userId: string; runId: string; lost: () => void }): Slot;
  /** Places held in this process. */
  size(): number;
  close(): void;
}

export interface SlotTimings {
  /** How often a place is renewed. */
  renewMs: number;
  /** How long a place is held without a renewal: what a killed process held is free after this. At least 3 × renewMs, for one that is late twice. */
  ttlMs: number;
  /** A place that was held for so long may be taken by a newer stream. As long as a client may leave what we write unread. */
  stayMs: number;
}

export const slotTimings: SlotTimings = { renewMs: 15_000, ttlMs: 45_000, stayMs: 30_000 };

/** When to come back to a process that is full: others may have room, so soon. */
const fullProcessMs = 1_000;

declare module "ioredis" {
  interface RedisCommander<Context> {
    cortexHoldSlot(user: string, ...args: (string | number)[]): Result<[held: number, comeBackMs: number], Context>;
  }
}

/** Redis: sorted set of the places of a user, with the time when each is free by itself. Gone when nobody renews it. */
const slotsKey = (userId: string): string => `stream_slots:{${userId}}`;

interface Held {
  key: string;
  /** `<since>:<run>:<connection>`: the script reads the first two. */
  member: string;
  runId: string;
  lost: () => void;
}

/**
 * Counts the streams of each user over all API processes that share a Redis, and those of this process without it.
 *
 * - A place is renewed by its process; what a killed one held is free after `ttlMs`.
 * - Where all places are held, the newest stream gets the one that was held longest, if that was for `stayMs`; otherwise it is refused.
 *   A browser whose line breaks is not shut out by its own dead connections, and clients who are too many do not chase each other round.
 * - Redis away: nobody is refused but by the process's own limit. Places that it has forgotten are taken again at the next renewal.
 *
 * @param deps.redis for commands; the script is defined on it
 */
export const createStreamSlots = (deps: {
  redis: Redis;
  log: Logger;
  limits: SlotLimits;
  timings: SlotTimings;
}): StreamSlots => {
  const { redis, log, limits } = deps;
  const { renewMs, ttlMs, stayMs } = deps.timings;
  redis.defineCommand("cortexHoldSlot", { numberOfKeys: 1, lua: holdSlotScript });
  const open = new Set<Held>();

  /** Milliseconds after which there may be a place; null: it is held. @param stay null: nobody else's place is taken */
  const hold = async ({ key, member, runId }: Held, stay: number | null): Promise<number | null> => {
    try {
      const bounds = [ttlMs, limits.perUser, limits.perRun, stay ?? -1];
      const [held, comeBackMs] = await redis.cortexHoldSlot(key, member, runId, ...bounds);
      return held === 1 ? null : comeBackMs;
    } catch (error) {
      log.debug({ err: error }, "a stream's place could not be counted");
      return null;
    }
  };

  const giveBack = ({ key, member }: Held): void => {
    redis.zrem(key, member).catch((error: unknown) => log.debug({ err: error }, "a stream's place is left to its end"));
  };

  const renew = async (held: Held): Promise<void> => {
    const refused = (await hold(held, null)) !== null;
    if (!open.has(held)) giveBack(held); // it was released meanwhile
    else if (refused) {
      open.delete(held);
      held.lost();
    }
  };
  const renewal = setInterval(() => {
    for (const held of open) void renew(held);
  }, renewMs);
  renewal.unref();

  return {
    take: ({ userId, runId, lost }) => {
      if (open.size >= limits.perProcess) return { taken: Promise.reject(refusal(fullProcessMs)), release: () => {} };
      const member = `${Date.now()}:${runId}:${crypto.randomUUID()}`;
      const held: Held = { key: slotsKey(userId), member, runId, lost };
      open.add(held);
      const taking = hold(held, stayMs);
      return {
        taken: taking.then((comeBackMs) => {
          if (comeBackMs === null) return;
          open.delete(held);
          throw refusal(comeBackMs);
        }),
        release: () => {
          // After the answer: asking is two commands if Redis has forgotten the script, and a place that is taken after it was given back is
          // held by nobody.
          if (open.delete(held)) void taking.then(() => giveBack(held));
        },
      };
    },
    size: () => open.size,
    close: () => clearInterval(renewal),
  };
};

const refusal = (comeBackMs: number): AppError =>
  new AppError("too_many_streams", "There are too many open streams. Close one, or come back later.", {
    retry_after_ms: comeBackMs,
  });
