import type { UnplacedEvent } from "@cortex/contracts";

type Preview = Extract<
  UnplacedEvent,
  { type: "message.delta" | "reasoning.delta" | "tool_call.delta" | "tool_call.output" }
>;

export interface Pending {
  event: UnplacedEvent;
  preview: boolean;
}

/**
 * What a writer has been given and not yet sent, in order. Neighbouring previews of one subject (a message's text, a call's arguments) are
 * merged.
 *
 * Of each subject the log shows a beginning and never a middle: once a preview is lost, the later ones of that subject are left out too, and
 * its whole text comes with `message.completed` or `tool_call.completed`.
 */
export interface PendingEvents {
  addPreview(event: UnplacedEvent): void;
  /** Lost before it was pending. */
  losePreview(event: UnplacedEvent): void;
  addDurable(event: UnplacedEvent): void;
  /** Everything, in order; afterwards nothing is pending. */
  take(): Pending[];
  /** Drops the pending previews, and the rest of every subject that has begun. */
  losePreviews(): void;
  isEmpty(): boolean;
  /** Characters of the pending previews. */
  size(): number;
}

const isPreview = (event: UnplacedEvent): event is Preview =>
  event.type === "message.delta" ||
  event.type === "reasoning.delta" ||
  event.type === "tool_call.delta" ||
  event.type === "tool_call.output";

const textOf = (event: Preview): string => {
  switch (event.type) {
    case "message.delta":
    case "reasoning.delta":
      return event.text;
    case "tool_call.delta":
      return event.arguments_delta;
    case "tool_call.output":
      return event.chunk;
  }
};

const withText = (event: Preview, text: string): Preview => {
  switch (event.type) {
    case "message.delta":
    case "reasoning.delta":
      return { ...event, text };
    case "tool_call.delta":
      return { ...event, arguments_delta: text };
    case "tool_call.output":
      return { ...event, chunk: text };
  }
};

const idOf = (event: Preview): string => ("message_id" in event ? event.message_id : event.tool_call_id);

const subjectOf = (event: Preview): string => `${event.type} ${idOf(event)}`;

/** The subjects that no preview will come for any more. */
const endedBy = (event: UnplacedEvent): string[] => {
  switch (event.type) {
    case "message.completed":
      return [`message.delta ${event.message.id}`, `reasoning.delta ${event.message.id}`];
    case "message.discarded":
      return [`message.delta ${event.message_id}`, `reasoning.delta ${event.message_id}`];
    case "tool_call.started":
      return [`tool_call.delta ${event.tool_call_id}`];
    case "tool_call.completed":
      return [`tool_call.delta ${event.tool_call_id}`, `tool_call.output ${event.tool_call_id}`];
    default:
      return [];
  }
};

export const createPendingEvents = (): PendingEvents => {
  let pending: ({ event: Preview; text: string } | { event: UnplacedEvent; text: null })[] = [];
  let size = 0;
  /** Subjects of which something was taken in, and those of which nothing more is. */
  const begun = new Set<string>();
  const lost = new Set<string>();

  return {
    addPreview: (event) => {
      if (!isPreview(event)) throw new Error(`${event.type} is no preview`);
      const text = textOf(event);
      const last = pending.at(-1);
      if (last && last.text !== null && last.event.type === event.type && idOf(last.event) === idOf(event)) {
        last.text += text;
      } else {
        const subject = subjectOf(event);
        if (lost.has(subject)) return;
        begun.add(subject);
        pending.push({ event, text });
      }
      size += text.length;
    },
    losePreview: (event) => {
      if (isPreview(event)) lost.add(subjectOf(event));
    },
    addDurable: (event) => {
      for (const subject of endedBy(event)) {
        begun.delete(subject);
        lost.delete(subject);
      }
      pending.push({ event, text: null });
    },
    take: () => {
      const taken = pending.map(({ event, text }): Pending => {
        if (text === null) return { event, preview: false };
        return { event: withText(event, text), preview: true };
      });
      pending = [];
      size = 0;
      return taken;
    },
    losePreviews: () => {
      for (const subject of begun) lost.add(subject);
      pending = pending.filter((entry) => entry.text === null);
      size = 0;
    },
    isEmpty: () => pending.length === 0,
    size: () => size,
  };
};
