import { parseCursor } from "@cortex/contracts";
import { byRun, runById } from "./group.ts";
import type { FollowerRecord, History, MessageRecord, Violation } from "./history.ts";

/**
 * I6: a follower sees the log exactly. Each one for itself: in order, no gap, no duplicate, a later epoch from its `resync` on, the end at the end.
 * All of one run together: the same entry under the same cursor, and under the cursors of the log that is left what is in that log. And what
 * the public client's reducer made of it is what Postgres holds, byte for byte.
 */
export const checkFollowers = (history: History): Violation[] => {
  const runs = runById(history);
  const messages = byRun(history.messages);
  const seen = placesOf(history);
  return history.followers.flatMap((follower) => {
    const { runId } = follower;
    const sentences = [
      ...disorder(follower),
      ...disagreement(follower, seen),
      ...(follower.failure === null
        ? differs(follower, runs.get(runId)?.status ?? "gone", messages.get(runId) ?? [])
        : [`gave up: ${follower.failure}`]),
    ];
    return sentences.map((what): Violation => ({ invariant: "I6", runId, what: `${follower.who}: ${what}` }));
  });
};

const disorder = (follower: FollowerRecord): string[] => {
  const found: string[] = [];
  let epoch = 0;
  let seq = -1;
  for (const { cursor, event } of follower.entries) {
    const at = parseCursor(cursor) ?? { epoch: -1, seq: -1 };
    if (at.epoch === epoch) {
      if (at.seq !== seq + 1) found.push(`${cursor} came behind ${epoch}.${seq}`);
    } else {
      if (at.epoch < epoch || at.seq !== 0) found.push(`${cursor} came behind ${epoch}.${seq}`);
      const { type } = JSON.parse(event) as { type: string };
      if (at.epoch > 1 && type !== "resync") found.push(`epoch ${at.epoch} begins with ${type}`);
    }
    ({ epoch, seq } = at);
  }
  if (follower.failure !== null) return found;
  const last = follower.entries.at(-1);
  const type = last ? (JSON.parse(last.event) as { type: string }).type : "nothing";
  if (!/^run\.(completed|failed|stopped)$/.test(type)) found.push(`was told the end behind ${type}`);
  return found;
};

/** The first who said what stands under a cursor; the logs that are left speak first. */
type Places = Map<string, { event: string; by: string }>;

const placesOf = (history: History): Places => {
  const places: Places = new Map();
  for (const log of history.logs) {
    for (const [seq, text] of log.entries.entries())
      places.set(`${log.run_id} ${log.epoch}.${seq}`, { event: withoutPlace(text), by: "the log" });
  }
  for (const follower of history.followers) {
    for (const { cursor, event } of follower.entries) {
      const key = `${follower.runId} ${cursor}`;
      if (!places.has(key)) places.set(key, { event: withoutPlace(event), by: follower.who });
    }
  }
  return places;
};

/** An entry says its seq to followers; in the log its place says it. */
const withoutPlace = (text: string): string => {
  const { seq: _seq, ...event } = JSON.parse(text) as Record<string, unknown>;
  return JSON.stringify(event);
};

const disagreement = (follower: FollowerRecord, places: Places): string[] => {
  for (const { cursor, event } of follower.entries) {
    const place = places.get(`${follower.runId} ${cursor}`);
    if (place && place.event !== withoutPlace(event)) return [`was told another ${cursor} than ${place.by}`];
  }
  return [];
};

const differs = (follower: FollowerRecord, status: string, stored: readonly MessageRecord[]): string[] => {
  const found: string[] = [];
  if (follower.status !== status) found.push(`believes that the run is ${follower.status}; it is ${status}`);
  const expected = stored
    .filter(({ role }) => role !== "user")
    .toSorted((left, right) => left.seq - right.seq)
    .map(({ id, role, status: state, text }) => ({ id, role, status: state, text }));
  if (JSON.stringify(follower.messages) !== JSON.stringify(expected))
    found.push(`has ${follower.messages.length} messages that are not the ${expected.length} of Postgres`);
  return found;
};
