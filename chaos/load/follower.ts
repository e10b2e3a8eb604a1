import { type Client, emptyRunView, reduceRun, type RunView } from "@cortex/client";
import type { RunEvent } from "@cortex/contracts";
import type { FollowerRecord } from "../check/history.ts";

export interface FollowerInput {
  runId: string;
  who: string;
  /** So many events on, it goes away and comes back with its cursor, as an application does that is closed and opened again. Null: it stays. */
  leavesAfter: () => number | null;
  signal: AbortSignal;
  /** Told of each event as it comes. Must not throw. */
  heard?: (event: RunEvent) => void;
}

/** Follows a run to its end through the public client, and keeps everything that it was told. Never throws. */
export const followToEnd = async (client: Client, input: FollowerInput): Promise<FollowerRecord> => {
  const entries: FollowerRecord["entries"] = [];
  let view: RunView = emptyRunView;
  let breaks = 0;
  let failure: string | null = null;
  try {
    for (let over = false; !over;) {
      const leavesAfter = input.leavesAfter();
      let heard = 0;
      over = true;
      const follow = { after: entries.at(-1)?.cursor, signal: input.signal, onBreak: () => void (breaks += 1) };
      for await (const { cursor, ...event } of client.followRun(input.runId, follow)) {
        entries.push({ cursor, event: JSON.stringify(event) });
        view = reduceRun(view, event);
        input.heard?.(event);
        heard += 1;
        if (heard !== leavesAfter) continue;
        over = false;
        break;
      }
    }
  } catch (error) {
    failure = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
  return {
    who: input.who,
    runId: input.runId,
    entries,
    breaks,
    failure,
    messages: view.messages.map(({ id, role, status, text }) => ({ id, role, status, text })),
    status: view.status,
  };
};
