/**
 * The words of this room.
 *
 * - log: the live log of a run: a list of events in Redis, and a hash that says whose it is.
 * - entry: one event of it as JSON text. It is parsed by whoever wrote it and whoever shows it, never on the way.
 * - epoch: one life of the list. A lost list is rebuilt from Postgres under the next epoch.
 * - seq: an entry's index in the list. `(epoch, seq)` names an entry for ever.
 * - attempt: the fence. An append of a lower attempt than the log has seen changes nothing.
 * - hint: what an append publishes. It may be lost; the list is the truth.
 * - tail: the newest part of a followed log as one process knows it, shared by all its followers.
 */

/** The Redis keys and channels of one run. The braces are the cluster's hash tag: all of a run lives in one slot. */
export const logKeys = (runId: string) => {
  const run = `agent_run:{${runId}}`;
  return {
    /** list: the entries */
    list: `${run}:responses`,
    /** hash: attempt, epoch, closed, bytes, truncated */
    meta: `${run}:meta`,
    /** channel: hints */
    news: `${run}:new_response`,
    /** channel: requests to whoever works on the run */
    control: `${run}:control`,
  };
};
