import type { UnplacedEvent } from "@cortex/contracts";

/** The live log as one attempt writes it; packages/events fits. */
export interface LogSink {
  /** A preview: may be merged with its neighbours, and left out beyond the log's bound. */
  preview(event: UnplacedEvent): Promise<void> | void;
  /** Resolves when the events are in the log, in order, after everything before them. They are in Postgres already. */
  durable(events: readonly UnplacedEvent[]): Promise<void>;
  /** Durable events are in Postgres and not in the log: it could not be reached. */
  isBehind(): boolean;
  /** The same for the events that close the log, under the attempt that ending the run has raised. Returns the last cursor; null if the
   * log could not be reached, then a sweep closes it. */
  end(events: readonly UnplacedEvent[], attempt: number): Promise<string | null>;
}
