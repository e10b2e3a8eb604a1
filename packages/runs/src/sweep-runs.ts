import { asAccount, asFleet, type Db } from "@cortex/db";
import { failpoint, isSwitchedOff } from "@cortex/failpoints";
import type { Logger } from "@cortex/observability";
import { sql } from "kysely";
import { lockThread, settleAbandonedCalls } from "./abandoned-calls.ts";
import { closeLog } from "./close-log.ts";
import type { LogPort } from "./ensure-log.ts";
import { finishFromOutside } from "./finish-from-outside.ts";
import { logWait } from "./log-wait.ts";
import type { Deliver, Delivery, RunRow } from "./run.ts";
import type { RunSettings } from "./settings.ts";
import { classifyStaleRun, type StaleVerdict } from "./stale-runs.ts";

export interface SweepDeps {
  db: Db;
  log: Logger;
  deliver: Deliver;
  /** What has the queue done with this delivery? `waiting`: for a worker or for its time. Rejects if the queue does not answer. */
  jobState: (delivery: Delivery) => Promise<"waiting" | "active" | "absent">;
  eventLog: LogPort;
}

export interface Swept {
  redelivered: number;
  ended: number;
  logsClosed: number;
  waitsLogged: number;
}

/** Of those who look at the same moment one finds; the others have nothing to do. The number only has to be ours. */
const sweepLock = 7_262_019;
const batch = 100;

/**
 * Finds what nobody cares for and sets it going again: admitted runs that no queue knows, runs whose worker is gone, runs whose time is up while
 * nobody executes them, ended runs whose log has no end, waiting ones whose log does not say so. Every act is a conditional write that checks again,
 * so a sweep that is late or doubled harms nothing; what fails is left to the next one and keeps nothing else waiting.
 * @returns null if another process was looking at that moment
 */
export const sweepRuns = async (deps: SweepDeps, settings: RunSettings): Promise<Swept | null> => {
  if (isSwitchedOff("reconciler")) return null;
  const found = await asFleet(deps.db, async (tx) => {
    const lock = await sql<{ held: boolean }>`select pg_try_advisory_xact_lock(${sweepLock}) as held`.execute(tx);
    if (!lock.rows[0]?.held) return null;
    // Of runs that only wait for a worker in the queue there may be many and nothing is to be done; they must not hide the others.
    const stale = await sql<RunRow & { now: Date }>`
      (select *, clock_timestamp() as now from cortex.agent_runs
        where status = 'running' and lease_until < clock_timestamp() order by lease_until limit ${batch})
      union all
      (select *, clock_timestamp() as now from cortex.agent_runs
        where status = 'queued' and admitted_at < clock_timestamp() - ${settings.unclaimedMs} * interval '1 millisecond'
        order by random() limit ${batch})
      union all
      (select *, clock_timestamp() as now from cortex.agent_runs
        where status in ('queued', 'waiting') and deadline_at < now() order by deadline_at limit ${batch})`.execute(tx);
    const unclosed = await sql<Pick<RunRow, "id" | "account_id">>`
      select id, account_id from cortex.agent_runs
      where log_cursor is null and status in ('completed', 'failed', 'stopped')
        and completed_at < clock_timestamp() - ${settings.unclosedLogMs} * interval '1 millisecond'
      order by random() limit ${batch}`.execute(tx);
    const unlogged = await sql<Pick<RunRow, "id" | "account_id" | "attempt">>`
      select id, account_id, attempt from cortex.agent_runs
      where status = 'waiting' and wait_unlogged_since < clock_timestamp() - ${settings.unclosedLogMs} * interval '1 millisecond'
      order by random() limit ${batch}`.execute(tx);
    await sql`delete from cortex.workers where heartbeat_at < clock_timestamp() - interval '10 minutes'`.execute(tx);
    return { stale: stale.rows, unclosed: unclosed.rows, unlogged: unlogged.rows };
  });
  if (!found) return null;
  if (found.stale.length + found.unclosed.length + found.unlogged.length > 0) await failpoint("sweep.mid");

  const swept: Swept = { redelivered: 0, ended: 0, logsClosed: 0, waitsLogged: 0 };
  const due: RunRow[] = [];
  // Ends first: they need no queue.
  for (const run of found.stale) {
    const verdict = classifyStaleRun(run, run.now, settings);
    if (verdict?.kind === "redeliver") due.push(run);
    else if (verdict && (await endFor(deps, run, verdict))) swept.ended += 1;
  }
  for (const run of due) {
    const acted = await redeliver(deps, run);
    // One that does not answer about the first will not answer about the next hundred either, and each question has its time limit.
    if (acted === "queue away") break;
    if (acted === "redelivered") swept.redelivered += 1;
  }
  for (const run of found.unclosed) {
    if (!(await closeLog(deps, { runId: run.id, scope: { userId: null, accountId: run.account_id } }))) break;
    swept.logsClosed += 1;
  }
  for (const run of found.unlogged) {
    if (!(await logWait(deps, run))) break;
    swept.waitsLogged += 1;
  }
  return swept;
};

const redeliver = async (deps: SweepDeps, run: RunRow): Promise<"redelivered" | "in the queue" | "queue away"> => {
  const delivery = { runId: run.id, delivery: run.delivery };
  let state: Awaited<ReturnType<SweepDeps["jobState"]>>;
  try {
    state = await deps.jobState(delivery);
  } catch (error) {
    deps.log.warn({ err: error, run_id: run.id }, "the queue does not answer; nothing is delivered again");
    return "queue away";
  }
  // Its turn comes when a worker is free. Each sweep would otherwise add one more delivery to the queue of a fleet that is busy.
  if (state === "waiting") return "in the queue";
  // Taken and not yet claimed; the queue brings it back by itself if that worker dies. One that is active under an ended lease is
  // another matter: whoever has it is not working on it.
  if (state === "active" && run.status === "queued") return "in the queue";
  const next = await raiseDelivery(deps.db, run);
  if (next === null) return "in the queue";
  deps.log.warn({ run_id: run.id, delivery: next, status: run.status, attempt: run.attempt }, "run delivered again");
  deps.deliver({ runId: run.id, delivery: next });
  return "redelivered";
};

const endFor = async (
  deps: SweepDeps,
  run: RunRow,
  verdict: Exclude<StaleVerdict, { kind: "redeliver" }>,
): Promise<boolean> => {
  const end =
    verdict.kind === "fail"
      ? { status: "failed" as const, error: verdict.error, receipt: null, overdue: verdict.overdue }
      : { status: "stopped" as const, error: null, receipt: verdict.receipt };
  try {
    const ended = await asAccount(deps.db, { accountId: run.account_id }, async (tx) => {
      await lockThread(tx, { threadId: run.thread_id });
      const done = await finishFromOutside(tx, { runId: run.id, attempt: run.attempt, ...end });
      if (done) await settleAbandonedCalls(tx, run);
      return done;
    });
    if (!ended) return false;
  } catch (error) {
    deps.log.error({ err: error, run_id: run.id }, "could not end a run for its lost worker");
    return false;
  }
  deps.log.warn({ run_id: run.id, status: end.status, code: end.error?.code }, "run ended that nobody executes");
  await closeLog(deps, { runId: run.id, scope: { userId: null, accountId: run.account_id } });
  return true;
};

/** A job id is never used twice, so that the corpse of an old job cannot swallow a new one. */
const raiseDelivery = async (db: Db, run: Pick<RunRow, "id" | "delivery">): Promise<number | null> => {
  const raised = await db
    .updateTable("agent_runs")
    .set({ delivery: run.delivery + 1 })
    .where("id", "=", run.id)
    .where("delivery", "=", run.delivery)
    .where("status", "in", ["queued", "running"])
    .returning("delivery")
    .executeTakeFirst();
  return raised?.delivery ?? null;
};
