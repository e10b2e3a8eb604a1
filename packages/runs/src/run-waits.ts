import type { RunEvent, UnplacedEvent } from "@cortex/contracts";
import type { DB } from "@cortex/db";
import type { Selectable } from "kysely";

/** A wait that held no worker. Named by the attempt that ended with it; the next attempt is the one that goes on. */
export type RunWait = Selectable<DB["run_waits"]>;

const placeOf = (wait: RunWait, attempt: number, at: Date) => ({
  run_id: wait.run_id as RunEvent["run_id"],
  at: at.toISOString(),
  attempt,
});

export const waitingEvent = (wait: RunWait): UnplacedEvent => ({
  type: "run.waiting",
  ...placeOf(wait, wait.attempt, wait.began_at),
  reason: wait.reason,
  resume_at: wait.resume_at.toISOString(),
});

export const resumedEvent = (wait: RunWait): UnplacedEvent => ({
  type: "run.resumed",
  ...placeOf(wait, wait.attempt + 1, wait.ended_at ?? wait.resume_at),
  reason: wait.reason,
});

/** Has an attempt gone on after this wait? A run that was ended in its wait has none. */
export const wasResumed = (wait: RunWait, workedAttempts: number): boolean => workedAttempts > wait.attempt;
