import { byRun, hasEnded } from "./group.ts";
import type { History, LogRecord, RunRecord, Violation } from "./history.ts";

interface Entry {
  type: string;
  message?: { id: string };
}

const isEnd = ({ type }: Entry): boolean => type === "run.completed" || type === "run.failed" || type === "run.stopped";

/** I5: the live log of a run that ended is closed, ends in the one event that says how, and tells every message once and in order. */
export const checkLogs = (history: History): Violation[] => {
  const logs = new Map(history.logs.map((log) => [log.run_id, log]));
  const messages = byRun(history.messages);
  return history.runs.filter(hasEnded).flatMap((run): Violation[] => {
    const log = logs.get(run.id);
    const said = (messages.get(run.id) ?? [])
      .filter(({ role }) => role !== "user")
      .toSorted((left, right) => left.seq - right.seq)
      .map(({ id }) => id);
    const what = log ? judge(run, log, said) : ["has no log, although somebody has just read it"];
    return what.map((sentence) => ({ invariant: "I5", runId: run.id, what: sentence }));
  });
};

const judge = (run: RunRecord, log: LogRecord, stored: readonly string[]): string[] => {
  const found: string[] = [];
  const entries = log.entries.map((text) => JSON.parse(text) as Entry);
  const ends = entries.filter(isEnd);
  if (ends.length !== 1) found.push(`its log has ${ends.length} ends`);
  const last = entries.at(-1);
  if (last?.type !== `run.${run.status}`) found.push(`is ${run.status}, and its log ends with ${last?.type}`);
  if (!log.closed) found.push("its log is not closed");
  if (log.epoch !== run.log_epoch) found.push(`its log is of epoch ${log.epoch}, the run's is ${run.log_epoch}`);
  const told = entries.flatMap(({ type, message }) => (type === "message.completed" && message ? [message.id] : []));
  if (told.join() !== stored.join())
    found.push(
      `its log tells ${told.length} messages, Postgres holds ${stored.length}, and they are not the same in order`,
    );
  return found;
};
