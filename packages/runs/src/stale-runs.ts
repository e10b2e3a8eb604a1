import { canonicalUsd, type RunError, type StopReceipt } from "@cortex/contracts";
import type { RunRow } from "./run.ts";
import type { RunSettings } from "./settings.ts";

/** What is to be done about a run that nobody seems to care for. */
export type StaleVerdict =
  /** Hand it to the queue again: its job was lost, or its worker. */
  { kind: "redeliver" } | { kind: "fail"; error: RunError; overdue: boolean } | { kind: "stop"; receipt: StopReceipt };

type Candidate = Pick<
  RunRow,
  | "status"
  | "admitted_at"
  | "lease_until"
  | "stop_requested_at"
  | "attempts_since_step"
  | "deadline_at"
  | "resume_at"
  | "cost_usd"
>;

/**
 * Is this run stale, and what follows from it? Pure; somebody else acts, by a conditional write that checks again.
 * @param now the database's clock
 */
export const classifyStaleRun = (run: Candidate, now: Date, settings: RunSettings): StaleVerdict | null => {
  const since = (time: Date | null) => (time ? now.getTime() - time.getTime() : 0);
  switch (run.status) {
    case "queued":
      // Only one that has run before has a deadline.
      if (run.deadline_at && since(run.deadline_at) > 0) return outOfTime;
      // Waiting for admission is not stale, however long it takes.
      return run.admitted_at && since(run.admitted_at) > settings.unclaimedMs ? { kind: "redeliver" } : null;
    case "running": {
      const leaseOver = since(run.lease_until);
      if (leaseOver <= 0) return null;
      // Nobody will hear the wish: grant it.
      if (run.stop_requested_at) return { kind: "stop", receipt: receiptOf(run, run.stop_requested_at, now) };
      if (leaseOver <= settings.orphanGraceMs) return null;
      if (run.attempts_since_step >= settings.maxAttemptsWithoutProgress) {
        const message = `given up after ${run.attempts_since_step} attempts without progress`;
        return { kind: "fail", error: { code: "worker_lost", message, retryable: true }, overdue: false };
      }
      return run.deadline_at && since(run.deadline_at) > 0 ? outOfTime : { kind: "redeliver" };
    }
    case "waiting":
      // Its return is admission's business, or that of people.
      if (!run.deadline_at || since(run.deadline_at) <= 0) return null;
      return run.resume_at === null ? nobodyDecided : outOfTime;
    case "completed":
    case "failed":
    case "stopped":
      return null;
  }
};

const outOfTime: StaleVerdict = {
  kind: "fail",
  error: { code: "deadline_exceeded", message: "the run took longer than it may", retryable: true },
  overdue: true,
};

/** People may be slow; a run that nobody remembers must not hold its thread and its credit for ever. */
const nobodyDecided: StaleVerdict = {
  kind: "fail",
  error: {
    code: "approval_expired",
    message: "nobody decided in time about what the agent wanted to do",
    retryable: false,
  },
  overdue: true,
};

const receiptOf = (run: Pick<RunRow, "cost_usd">, requestedAt: Date, now: Date): StopReceipt => ({
  requested_at: requestedAt.toISOString(),
  stopped_at: now.toISOString(),
  aborted: ["lost worker"],
  killed: [],
  charged_usd: canonicalUsd(run.cost_usd),
});
