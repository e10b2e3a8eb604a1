import type { Db } from "@cortex/db";
import { failpoint, isSwitchedOff } from "@cortex/failpoints";
import { sql } from "kysely";
import type { RunRow } from "./run.ts";
import type { RunSettings } from "./settings.ts";

/** A run that this worker may execute: its row right after the claim. `attempt` is the fence of all that follows. */
export type ClaimedRun = RunRow;

/**
 * Takes a run: only if it is queued and admitted, or running with a lease that has ended. A job of an earlier delivery, brought back after a
 * wait, finds the run in line and must not pass the others, nor its plan's limit. One statement, so two workers cannot both get it; it
 * also takes the run off the outbox. The clock is the database's, so skewed workers agree.
 *
 * A run that has used up its attempts without progress is refused here and not only found by the sweeper: the queue brings the job of a
 * killed worker back before the sweeper looks, and poison would go on killing workers.
 * @returns null when the run is not ours to take (ended, leased by a living worker, given up, or gone): acknowledge the job, or see
 *   `leaseLeftMs`
 */
export const claimRun = async (
  db: Db,
  input: {
    runId: string;
    workerId: string;
    /** Names this claim: asked again under it, because the first answer was lost, it gives the run that it took. Default: never asked again. */
    claimId?: string;
    settings: Pick<RunSettings, "leaseMs" | "maxRunMs" | "maxAttemptsWithoutProgress">;
  },
): Promise<ClaimedRun | null> => {
  const { runId, workerId, settings, claimId = crypto.randomUUID() } = input;
  const leaseIsOver = isSwitchedOff("lease") ? sql`true` : sql`lease_until < clock_timestamp()`;
  const result = await sql<ClaimedRun>`
    with claimed as (
      update cortex.agent_runs set
        status = 'running',
        attempt = attempt + 1,
        attempts_since_step = attempts_since_step + 1,
        worker_id = ${workerId},
        last_write_id = ${claimId},
        claimed_at = clock_timestamp(),
        started_at = coalesce(started_at, clock_timestamp()),
        lease_until = clock_timestamp() + ${settings.leaseMs} * interval '1 millisecond',
        deadline_at = coalesce(deadline_at, clock_timestamp() + ${settings.maxRunMs} * interval '1 millisecond')
      where id = ${runId}
        and ((status = 'queued' and admitted_at is not null) or (status = 'running' and ${leaseIsOver}
          and attempts_since_step < ${settings.maxAttemptsWithoutProgress}))
      returning *
    ), taken_off as (
      delete from cortex.outbox using claimed where outbox.run_id = claimed.id
    )
    select * from claimed`.execute(db);
  const claimed = result.rows[0] ?? (input.claimId === undefined ? null : await readOwnClaim(db, { runId, claimId }));
  if (claimed) await failpoint("claim.after_commit");
  return claimed;
};

/** Without this a claim whose answer was lost would leave the run to its lease. */
const readOwnClaim = async (db: Db, claim: { runId: string; claimId: string }): Promise<ClaimedRun | null> => {
  const found = await sql<ClaimedRun>`
    select * from cortex.agent_runs
    where id = ${claim.runId} and last_write_id = ${claim.claimId} and status = 'running'`.execute(db);
  return found.rows[0] ?? null;
};

/**
 * How long the lease of a running run is still good, in milliseconds; null if it is not running, or if its lease is over (the sweeper
 * decides). A job that meets a living lease waits that long: it is neither acknowledged (the holder may die) nor taken. A duration and not
 * a time, because the worker's clock need not be the database's.
 */
export const leaseLeftMs = async (db: Db, input: { runId: string }): Promise<number | null> => {
  const found = await sql<{ left_ms: number }>`
    select ceil(extract(epoch from lease_until - clock_timestamp()) * 1000)::int as left_ms
    from cortex.agent_runs where id = ${input.runId} and status = 'running'`.execute(db);
  const leftMs = found.rows[0]?.left_ms ?? 0;
  return leftMs > 0 ? leftMs : null;
};
