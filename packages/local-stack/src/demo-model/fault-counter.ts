import { hash } from "node:crypto";
import type { Fault } from "./directives.ts";
import type { ChatMessage } from "./request/messages.ts";

/** Decides which of the faults that a prompt asks for strikes this request. */
export interface FaultCounter {
  /** The first fault that still has to strike, now counted; null if all have struck. */
  take(messages: readonly ChatMessage[], faults: readonly Fault[]): Fault | null;
  /** An undisturbed answer went out: the same conversation, sent again, fails again from the start. */
  settle(messages: readonly ChatMessage[], faults: readonly Fault[]): void;
}

/** Conversations that are remembered. Only those amid a counted fault are, so this is far more than are ever in flight. */
const MAX_CONVERSATIONS = 10_000;

/**
 * The server's only memory between requests. It is keyed by the conversation, because a retry sends the same messages again; two
 * runs with equal messages share the count, so a test that runs beside others puts something unique into its prompt.
 */
export function createFaultCounter(): FaultCounter {
  const struck = new Map<string, number[]>();
  return {
    take(messages, faults) {
      if (!faults.some(({ times }) => times !== null)) return faults[0] ?? null;
      const key = conversationKey(messages);
      const counts = struck.get(key) ?? faults.map(() => 0);
      const index = faults.findIndex(({ times }, at) => times === null || (counts[at] ?? 0) < times);
      const fault = faults[index];
      if (fault === undefined) return null;
      counts[index] = (counts[index] ?? 0) + 1;
      struck.delete(key); // moves the key to the end: the map forgets the one that was quiet longest
      struck.set(key, counts);
      const oldest = struck.keys().next();
      if (struck.size > MAX_CONVERSATIONS && oldest.done !== true) struck.delete(oldest.value);
      return fault;
    },
    settle(messages, faults) {
      if (faults.some(({ times }) => times !== null)) struck.delete(conversationKey(messages));
    },
  };
}

/** Instructions are left out: an engine may put the time of day into them, and a retry must still be recognised. */
function conversationKey(messages: readonly ChatMessage[]): string {
  return hash("sha256", JSON.stringify(messages.filter(({ role }) => role !== "system")));
}
