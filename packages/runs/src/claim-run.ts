import type { Db } from "@cortex/db";
import { sql } from "kysely";
import type { RunRow } from "./run.ts";
import type { RunSettings } from "./settings.ts";

/** A run that this worker may execute: its row right after the claim. `attempt` is the fence of all that follows. */
export type ClaimedRun = RunRow;

/**
 * Takes a run: only if it is queued, or running with a lease that has ended. One statement, so two workers cannot both get it; it
 * also takes the run off the outbox. The clock is the database's, so skewed workers agree.
 * @returns null when the run is not ours to take (ended, leased by a living worker, or gone): acknowledge the job, or see `leaseEnd`
 */
export const claimRun = async (
  db: Db,
  input: { runId: string; workerId: string; settings: Pick<RunSettings, "leaseMs" | "maxRunMs"> },
): Promise<ClaimedRun | null> => {
  const { runId, workerId, settings } = input;
  const result = await sql<ClaimedRun>`
    with claimed as (
      update cortex.agent_runs set
        status = 'running',
        attempt = attempt + 1,
        attempts_since_step = attempts_since_step + 1,
        worker_id = ${workerId},
        claimed_at = clock_timestamp(),
        started_at = coalesce(started_at, clock_timestamp()),
        lease_until = clock_timestamp() + ${settings.leaseMs} * interval '1 millisecond',
        deadline_at = coalesce(deadline_at, clock_timestamp() + ${settings.maxRunMs} * interval '1 millisecond')
      where id = ${runId}
        and (status = 'queued' or (status = 'running' and lease_until < clock_timestamp()))
      returning *
    ), taken_off as (
      delete from cortex.outbox using claimed where outbox.run_id = claimed.id
    )
    select * from claimed`.execute(db);
  return result.rows[0] ?? null;
};

/**
 * When the lease of a running run ends; null if it is not running. A job that meets a living lease waits until then: it is neither
 * acknowledged (the holder may die) nor taken.
 */
export const leaseEnd = async (db: Db, input: { runId: string }): Promise<Date | null> => {
  const row = await db
    .selectFrom("agent_runs")
    .select("lease_until")
    .where("id", "=", input.runId)
    .where("status", "=", "running")
    .executeTakeFirst();
  return row?.lease_until ?? null;
};
