import type { Db } from "@cortex/db";
import { sql } from "kysely";

/** Tells admission that a worker is there (or no longer takes runs). Called at start, and at shutdown before anything else. */
export const announceWorker = async (
  db: Db,
  worker: { workerId: string; concurrency: number; draining: boolean },
): Promise<void> => {
  await db
    .insertInto("workers")
    .values({ id: worker.workerId, concurrency: worker.concurrency, draining: worker.draining })
    .onConflict((conflict) =>
      conflict.column("id").doUpdateSet({
        concurrency: worker.concurrency,
        draining: worker.draining,
        heartbeat_at: sql`clock_timestamp()`,
      }),
    )
    .execute();
};

/** Takes a worker off the list when it has closed. */
export const withdrawWorker = async (db: Db, worker: { workerId: string }): Promise<void> => {
  await db.deleteFrom("workers").where("id", "=", worker.workerId).execute();
};

export interface HeldRun {
  runId: string;
  attempt: number;
}

export interface Heartbeat {
  /** The runs that are still held under their attempt; one that is missing is lost. */
  held: Map<string, { renewed: boolean; stopRequested: boolean }>;
}

/**
 * Lease out, stop flags back: one statement for all runs of a worker and for the worker itself, every second.
 *
 * A run whose row somebody holds (its own step that commits, or a transaction whose client has vanished) is left out of this beat and is
 * still held: it must not keep the others' leases waiting. One that its worker has let go while this was on its way is not renewed.
 * @param input.closed runs whose log was closed since the last beat, with their last cursor: written along, so that ending a run costs no
 *   commit of its own for it
 * @param input.waiting runs whose log says since the last beat that they wait: noted along, for the same reason. One whose row somebody holds is left
 *   to the sweeper
 */
export const heartbeat = async (
  db: Db,
  input: {
    workerId: string;
    concurrency: number;
    leaseMs: number;
    runs: readonly HeldRun[];
    closed: readonly { runId: string; cursor: string }[];
    waiting: readonly HeldRun[];
  },
): Promise<Heartbeat> => {
  const result = await sql<{ id: string; renewed: boolean; stop_requested: boolean }>`
    with beat as (
      insert into cortex.workers (id, concurrency) values (${input.workerId}, ${input.concurrency})
      on conflict (id) do update set heartbeat_at = clock_timestamp()
    ), closed as (
      update cortex.agent_runs set log_cursor = ended.cursor
      from jsonb_to_recordset(${JSON.stringify(input.closed)}::jsonb) as ended("runId" uuid, cursor text)
      where agent_runs.id = ended."runId" and log_cursor is null
    ), said as (
      select agent_runs.id
      from cortex.agent_runs, jsonb_to_recordset(${JSON.stringify(input.waiting)}::jsonb) as said("runId" uuid, attempt int)
      where agent_runs.id = said."runId" and agent_runs.attempt = said.attempt and agent_runs.status = 'waiting'
      for no key update of agent_runs skip locked
    ), noted as (
      update cortex.agent_runs set wait_unlogged_since = null from said where agent_runs.id = said.id
    ), held as (
      select agent_runs.id, agent_runs.attempt, agent_runs.stop_requested_at is not null as stop_requested
      from cortex.agent_runs, jsonb_to_recordset(${JSON.stringify(input.runs)}::jsonb) as held("runId" uuid, attempt int)
      where agent_runs.id = held."runId" and agent_runs.attempt = held.attempt and agent_runs.status = 'running'
    ), free as (
      select agent_runs.id from cortex.agent_runs
      where id in (select held.id from held)
      for no key update skip locked
    ), renewed as (
      update cortex.agent_runs set lease_until = clock_timestamp() + ${input.leaseMs} * interval '1 millisecond'
      from free, held
      where agent_runs.id = free.id and held.id = free.id and agent_runs.attempt = held.attempt and agent_runs.status = 'running'
        and agent_runs.worker_id = ${input.workerId}
      returning agent_runs.id
    )
    select held.id, held.stop_requested, renewed.id is not null as renewed from held left join renewed using (id)`.execute(
    db,
  );
  return {
    held: new Map(result.rows.map((row) => [row.id, { renewed: row.renewed, stopRequested: row.stop_requested }])),
  };
};
