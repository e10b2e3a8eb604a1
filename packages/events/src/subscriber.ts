import type { Logger } from "@cortex/observability";
import type { Redis } from "ioredis";

export interface ChannelListener {
  message(text: string): void;
  /**
   * Redis has acknowledged the subscription: from now on messages arrive. What was published before may have been missed, so this is the
   * moment to read. Comes again after every reconnection.
   */
  subscribed(): void;
}

/** All subscriptions of a process over one connection. */
export interface Subscriber {
  /** Returns how to leave. The last one to leave a channel ends its subscription. */
  listen(channel: string, listener: ChannelListener): () => void;
  close(): void;
}

interface Channel {
  name: string;
  listeners: Set<ChannelListener>;
  acknowledged: boolean;
}

/** One SUBSCRIBE names this many channels at most. */
const batchSize = 500;

/**
 * A dead connection is noticed after pingMs + the command timeout. Until then followers live on their poll, so this is about speed and not
 * about losing anything.
 */
const pingMs = 5_000;

/**
 * @param deps.redis a connection to copy the settings of; this opens one of its own
 */
export const createSubscriber = (deps: { redis: Redis; log: Logger }): Subscriber => {
  // Resubscribing is done here, because what matters is when Redis has acknowledged it.
  const redis = deps.redis.duplicate({ autoResubscribe: false, connectionName: "subscriber" });
  const channels = new Map<string, Channel>();

  const guarded = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      deps.log.error({ err: error }, "a channel's listener failed");
    }
  };

  const subscribe = async (batch: readonly Channel[]): Promise<void> => {
    if (redis.status !== "ready" || batch.length === 0) return;
    try {
      await redis.subscribe(...batch.map((channel) => channel.name));
    } catch (error) {
      // If the connection broke, the next one subscribes again.
      deps.log.debug({ err: error, channels: batch.length }, "could not subscribe");
      return;
    }
    for (const channel of batch) {
      // Left, and perhaps joined anew, in the meantime: then this is not its acknowledgement.
      if (channels.get(channel.name) !== channel) continue;
      channel.acknowledged = true;
      for (const listener of channel.listeners) guarded(() => listener.subscribed());
    }
  };

  redis.on("ready", () => {
    const all = [...channels.values()];
    for (const channel of all) channel.acknowledged = false;
    for (let from = 0; from < all.length; from += batchSize) void subscribe(all.slice(from, from + batchSize));
  });
  redis.on("message", (name: string, text: string) => {
    for (const listener of channels.get(name)?.listeners ?? []) guarded(() => listener.message(text));
  });
  redis.on("error", (error: Error) => deps.log.debug({ err: error }, "the subscriber's connection failed"));

  const ping = setInterval(() => {
    if (redis.status !== "ready") return;
    redis.ping().catch((error: unknown) => {
      deps.log.warn({ err: error }, "the subscriber's connection is dead");
      redis.disconnect(true);
    });
  }, pingMs);
  ping.unref();

  const unsubscribe = async (name: string): Promise<void> => {
    if (redis.status !== "ready") return;
    try {
      await redis.unsubscribe(name);
    } catch (error) {
      // A broken connection has no subscriptions.
      deps.log.debug({ err: error }, "could not unsubscribe");
    }
  };

  return {
    listen: (name, listener) => {
      let channel = channels.get(name);
      if (channel) {
        channel.listeners.add(listener);
        if (channel.acknowledged) queueMicrotask(() => guarded(() => listener.subscribed()));
      } else {
        // Registered before Redis is asked: no message falls between.
        channel = { name, listeners: new Set([listener]), acknowledged: false };
        channels.set(name, channel);
        void subscribe([channel]);
      }
      const joined = channel;
      return () => {
        joined.listeners.delete(listener);
        if (joined.listeners.size > 0 || channels.get(name) !== joined) return;
        channels.delete(name);
        void unsubscribe(name);
      };
    },
    close: () => {
      clearInterval(ping);
      channels.clear();
      redis.disconnect();
    },
  };
};
