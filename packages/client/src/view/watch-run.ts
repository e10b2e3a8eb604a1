import type { FollowedEvent } from "../stream/log-place.ts";
import { reduceRun } from "./reduce-run.ts";
import { emptyRunView, type RunView } from "./run-view.ts";

export interface WatchedEvent {
  event: FollowedEvent;
  /** The run as it is with this event. */
  view: RunView;
}

/** Folds the events of one run, from its start, into a view. Errors: those of `events`. */
export async function* watchRun(events: AsyncIterable<FollowedEvent>): AsyncGenerator<WatchedEvent, void, void> {
  let view = emptyRunView;
  for await (const event of events) {
    view = reduceRun(view, event);
    yield { event, view };
  }
}
