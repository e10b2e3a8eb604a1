import { type Cursor, isTerminalEvent, parseCursor, RunEvent } from "@cortex/contracts";
import { UnexpectedAnswerError } from "../failures.ts";
import type { SseFrame } from "./sse-parser.ts";

/** An event with its place in the run's log: give `cursor` back as `after`, and the rest follows. */
export type FollowedEvent = RunEvent & { readonly cursor: string };

/**
 * Where an entry stands to the last one that was passed on (null: none yet).
 * - `next`: the very next entry, or the first one of a rebuilt log
 * - `known`: passed on before
 * - `gap`: something between is missing
 */
export const placeOf = (last: Cursor | null, at: Cursor): "next" | "known" | "gap" => {
  if (last !== null && at.epoch === last.epoch) {
    if (at.seq <= last.seq) return "known";
    return at.seq === last.seq + 1 ? "next" : "gap";
  }
  if (last !== null && at.epoch < last.epoch) return "known";
  return at.seq === 0 ? "next" : "gap";
};

/** The place that a frame gives itself. @throws UnexpectedAnswerError if it gives none */
export const cursorOf = (frame: SseFrame): Cursor => {
  const cursor = frame.id === null ? null : parseCursor(frame.id);
  if (cursor === null)
    throw new UnexpectedAnswerError(`an event of the stream has no cursor but ${JSON.stringify(frame.id)}`);
  return cursor;
};

const knownTypes: ReadonlySet<string> = new Set(RunEvent.options.map((option) => option.shape.type.value));

/**
 * The event of a frame; null if its type is not known here: a newer API may say more than this client understands. Of a known type the payload
 * is trusted, because checking ten thousand deltas a second would cost more than all the rest of following.
 * @throws UnexpectedAnswerError if the data is no event at all
 */
export const eventOf = (frame: SseFrame): FollowedEvent | null => {
  let data: unknown;
  try {
    data = JSON.parse(frame.data);
  } catch (error) {
    throw new UnexpectedAnswerError(`entry ${frame.id} of the stream is not JSON`, { cause: error });
  }
  if (typeof data !== "object" || data === null || !("type" in data) || typeof data.type !== "string") {
    throw new UnexpectedAnswerError(`entry ${frame.id} of the stream is no event`);
  }
  return knownTypes.has(data.type) ? (Object.assign(data, { cursor: frame.id ?? "" }) as FollowedEvent) : null;
};

/** Is this the event that ends a run? Narrows, so that `usage` and `cost_usd` can be read. */
export const isLastEvent = <Event extends RunEvent>(
  event: Event,
): event is Extract<Event, { type: "run.completed" | "run.failed" | "run.stopped" }> => isTerminalEvent(event);
