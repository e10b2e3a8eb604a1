import type { Logger } from "@cortex/observability";
import type { Redis } from "ioredis";
import { logKeys } from "./keys.ts";
import { createSubscriber } from "./subscriber.ts";

/** Tells whoever works on a run that it is to stop. A shortcut: the durable request stands in Postgres and is found without this. */
export const publishStop = async (redis: Redis, runId: string): Promise<void> => {
  await redis.publish(logKeys(runId).control, JSON.stringify({ type: "stop" }));
};

/** Is this the request to stop? A newer version may ask for something else on the same channel, which an older one does not do. */
const asksToStop = (text: string): boolean => {
  try {
    const request = JSON.parse(text) as { type?: unknown } | null;
    return request?.type === "stop";
  } catch {
    return false;
  }
};

export interface ControlListener {
  /** Listens for one run; returns how to end that. */
  watch(runId: string): () => void;
  close(): void;
}

/** A worker's ears for all its runs, over one connection. `onStop` may be called more than once for a run, and must not throw. */
export const createControlListener = (
  deps: { redis: Redis; log: Logger },
  onStop: (input: { runId: string }) => void,
): ControlListener => {
  const subscriber = createSubscriber(deps);
  return {
    watch: (runId) =>
      subscriber.listen(logKeys(runId).control, {
        // A request that was missed is found in Postgres with the next heartbeat.
        subscribed: () => {},
        message: (text) => {
          if (asksToStop(text)) onStop({ runId });
        },
      }),
    close: () => subscriber.close(),
  };
};
