import type { UnplacedEvent } from "@cortex/contracts";
import type { Db } from "@cortex/db";
import { eventIdentity } from "../durable-events.ts";
import { ensureLog, type LogPort, type LogState } from "../ensure-log.ts";
import type { LogSink } from "../log-sink.ts";
import { FencedError, type RunRow } from "../run.ts";

/**
 * What the log writer of packages/events is to a recorder, for tests of this room alone: a log that was lost is rebuilt, and holds then what it
 * was to be given.
 */
export const createRecoveringSink = (
  deps: { db: Db; log: LogPort },
  input: { run: RunRow; opened: LogState },
): LogSink => {
  const { run } = input;
  const scope = { userId: null, accountId: run.account_id };
  let { epoch, length } = input.opened;
  let { attempt } = run;
  /** Durable events by identity: given here, and in a rebuilt log before they are given (a step that has begun is derived). */
  const given = new Set<string>();
  let held = new Set<string>();

  const append = async (batch: readonly UnplacedEvent[]): Promise<void> => {
    const events = batch.filter((event) => !held.delete(eventIdentity(event)));
    const reply = await deps.log.append({ runId: run.id, attempt, epoch, length, events });
    if (reply.status === "fenced" || reply.status === "closed") throw new FencedError(run.id, attempt);
    for (const event of batch) given.add(eventIdentity(event));
    if (reply.status === "appended") {
      length = reply.length;
      return;
    }
    const rebuilt = await ensureLog(deps, { runId: run.id, scope, as: "writer" });
    if (!rebuilt || rebuilt.attempt > attempt) throw new FencedError(run.id, attempt);
    ({ epoch, length } = rebuilt);
    const page = await deps.log.read({ runId: run.id, from: 0, limit: length });
    held = new Set(page?.entries.map((entry) => eventIdentity(JSON.parse(entry) as UnplacedEvent))).difference(given);
  };

  return {
    preview: (event) => append([event]), // not merged, and at once
    durable: append,
    isBehind: () => false,
    end: async (events, raised) => {
      attempt = raised;
      await append(events);
      return `${epoch}.${length - 1}`;
    },
  };
};
