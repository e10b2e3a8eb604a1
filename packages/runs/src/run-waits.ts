import type { DecidedApproval, OpenApproval, RunEvent, UnplacedEvent } from "@cortex/contracts";
import type { DB } from "@cortex/db";
import type { Selectable } from "kysely";

/** A wait that held no worker. Named by the attempt that ended with it; the next attempt is the one that goes on. */
export type RunWait = Selectable<DB["run_waits"]>;

const placeOf = (wait: RunWait, attempt: number, at: Date) => ({
  run_id: wait.run_id as RunEvent["run_id"],
  at: at.toISOString(),
  attempt,
});

/** @param approvals of a wait for people: what they are asked */
export const waitingEvent = (wait: RunWait, approvals: readonly OpenApproval[] = []): UnplacedEvent => ({
  type: "run.waiting",
  ...placeOf(wait, wait.attempt, wait.began_at),
  reason: wait.reason,
  ...(wait.resume_at === null ? {} : { resume_at: wait.resume_at.toISOString() }),
  ...(wait.reason === "approval" ? { approvals: [...approvals] } : {}),
  ...(wait.expires_at === null ? {} : { expires_at: wait.expires_at.toISOString() }),
});

/** @param decisions of a wait for people: what they said */
export const resumedEvent = (wait: RunWait, decisions: readonly DecidedApproval[] = []): UnplacedEvent => ({
  type: "run.resumed",
  ...placeOf(wait, wait.attempt + 1, resumedAt(wait)),
  reason: wait.reason,
  ...(wait.reason === "approval" ? { decisions: [...decisions] } : {}),
});

export const resumedAt = (wait: RunWait): Date => wait.ended_at ?? wait.resume_at ?? wait.began_at;

/** Has an attempt gone on after this wait? A run that was ended in its wait has none. */
export const wasResumed = (wait: RunWait, workedAttempts: number): boolean => workedAttempts > wait.attempt;
