import type { EventPayload, UnplacedEvent } from "@cortex/contracts";

type Discarded = Extract<EventPayload, { type: "message.discarded" }>;

/** What was shown of a message that the end of its run cut off before there was any text to keep. */
export const discarded = (messageId: Discarded["message_id"]): Discarded => ({
  type: "message.discarded",
  message_id: messageId,
  reason: "interrupted",
});

/**
 * The messages of which an ended run's log shows pieces that never became a message: their worker died while the model wrote. What a
 * later attempt or `message.discarded` has taken back is not among them.
 * @param events what stands in the log, followed by what it still lacks
 */
export const voidPreviews = (events: readonly UnplacedEvent[]): Discarded["message_id"][] => {
  const open = new Set<Discarded["message_id"]>();
  for (const event of events) {
    switch (event.type) {
      case "message.delta":
      case "reasoning.delta":
        open.add(event.message_id);
        break;
      case "message.completed":
        open.delete(event.message.id);
        break;
      case "message.discarded":
        open.delete(event.message_id);
        break;
      case "attempt.started":
        open.clear();
        break;
      default:
    }
  }
  return [...open];
};
