import { byRun, workedAttempts } from "./group.ts";
import type { History, Violation } from "./history.ts";

interface Written {
  what: string;
  attempt: number;
}

/** The first of these that was written by an attempt that had been superseded before. */
const fallsBack = (written: readonly Written[]): string | null => {
  let latest: Written | null = null;
  for (const entry of written) {
    if (latest && entry.attempt < latest.attempt)
      return `${entry.what} is of attempt ${entry.attempt}, behind ${latest.what} of attempt ${latest.attempt}`;
    latest = entry;
  }
  return null;
};

/**
 * I3: a write of a superseded attempt changes nothing, anywhere: along the steps of a run, in Postgres, and along its live log, in Redis, attempts
 * never go back, and none is beyond those that worked.
 */
export const checkFence = (history: History): Violation[] => {
  const found: Violation[] = [];
  const add = (runId: string, what: string | null): void => {
    if (what !== null) found.push({ invariant: "I3", runId, what });
  };
  const steps = byRun(history.steps);
  const calls = byRun(history.toolCalls);
  const logs = new Map(history.logs.map((log) => [log.run_id, log]));
  for (const run of history.runs) {
    const written = (steps.get(run.id) ?? [])
      .toSorted((left, right) => left.step - right.step)
      .flatMap((step): Written[] => [
        { what: `step ${step.step}`, attempt: step.attempt },
        ...(calls.get(run.id) ?? [])
          .filter((call) => call.step === step.step)
          .map((call) => ({ what: `call ${call.call_id} of step ${step.step}`, attempt: call.attempt })),
      ]);
    add(run.id, fallsBack(written));
    const logged = (logs.get(run.id)?.entries ?? []).flatMap((text, seq): Written[] => {
      const entry = JSON.parse(text) as { type: string; attempt: number };
      // Who rebuilt the log says so ahead of everything that it tells again.
      return entry.type === "resync" ? [] : [{ what: `entry ${seq} (${entry.type})`, attempt: entry.attempt }];
    });
    add(run.id, fallsBack(logged));
    const beyond = [...written, ...logged].find(({ attempt }) => attempt > workedAttempts(run));
    if (beyond) add(run.id, `${beyond.what} is of attempt ${beyond.attempt}, which never worked`);
  }
  return found;
};
