import { canonicalUsd, Metadata, QueueReason, type Run, RunError, StopReceipt, Usage } from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { type RawBuilder, sql } from "kysely";
import { workedAttempts } from "./durable-events.ts";
import type { RunRow } from "./run.ts";

/** A run with what the queue says of it; both null unless it waits. */
export type RunViewRow = RunRow & { queue_position: number | null; queue_reason: string | null };

/**
 * A stored run as it stands on the wire. Also for a row without its queue columns (of a run that is not queued): then `queue` is null.
 */
export const toRun = (row: RunRow & Partial<RunViewRow>): Run => ({
  id: row.id as Run["id"],
  thread_id: row.thread_id as Run["thread_id"],
  project_id: row.project_id as Run["project_id"],
  account_id: row.account_id as Run["account_id"],
  agent_id: row.agent_id as Run["agent_id"],
  agent_version_id: row.agent_version_id as Run["agent_version_id"],
  status: row.status,
  attempt: workedAttempts(row),
  model: row.model,
  usage: Usage.parse(row.usage),
  cost_usd: canonicalUsd(row.cost_usd),
  budget: row.max_cost_usd === null ? null : { max_cost_usd: canonicalUsd(row.max_cost_usd) },
  error: row.error === null ? null : RunError.parse(row.error),
  stop: stopOf(row),
  queue: queueOf(row),
  metadata: Metadata.parse(row.metadata),
  request_id: row.request_id,
  created_at: row.created_at.toISOString(),
  started_at: row.started_at?.toISOString() ?? null,
  completed_at: row.completed_at?.toISOString() ?? null,
});

const stopOf = (row: RunRow): Run["stop"] => {
  if (row.stop_requested_at === null) return null;
  const receipt = row.stop_receipt === null ? null : StopReceipt.parse(row.stop_receipt);
  return { requested_at: row.stop_requested_at.toISOString(), receipt };
};

const queueOf = (row: RunRow & Partial<RunViewRow>): Run["queue"] => {
  // The one reason why a run waits until a time. Nobody is ahead of it: it gets in line when the time has come.
  if (row.status === "waiting" && row.resume_at !== null) {
    return { position: 0, reason: "provider_limit", resume_at: row.resume_at.toISOString() };
  }
  const { queue_position: position, queue_reason: reason } = row;
  if (position == null || reason == null) return null;
  return { position, reason: QueueReason.parse(reason) };
};

/**
 * The two columns of `RunViewRow` beside those of a run, from a joined `queue` that has a row for each run that waits. A running run whose
 * lease is over waits, too: its worker is lost or has handed it over, and the next one is first in line.
 */
export const queueColumns = (run: "agent_runs" | "listed"): RawBuilder<unknown> => {
  const orphaned = sql`${sql.table(run)}.status = 'running' and ${sql.table(run)}.lease_until < clock_timestamp()`;
  return sql`case when ${orphaned} then 0 else queue."position" end as queue_position,
    case when ${orphaned} then 'takeover' else queue.reason end as queue_reason`;
};

/** The run as it stands now, with its place in the queue while it waits; one statement. Null: no such run for this caller. */
export const getRun = async (tx: Tx, input: { runId: string }): Promise<Run | null> => {
  const result = await sql<RunViewRow>`
    select agent_runs.*, ${queueColumns("agent_runs")}
    from cortex.agent_runs
      join cortex.projects on projects.id = agent_runs.project_id and projects.deleted_at is null
      -- Asked inside the lateral, so that the line of waiting runs is not read for one that does not wait.
      left join lateral (
        select * from cortex.queue_state(agent_runs.id) where agent_runs.status = 'queued'
      ) queue on true
    where agent_runs.id = ${input.runId}`.execute(tx);
  const [row] = result.rows;
  return row ? toRun(row) : null;
};
