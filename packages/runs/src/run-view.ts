import {
  canonicalUsd,
  Metadata,
  OpenApproval,
  QueueReason,
  type Run,
  RunError,
  StopReceipt,
  Usage,
} from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { type RawBuilder, sql } from "kysely";
import { z } from "zod";
import { workedAttempts } from "./durable-events.ts";
import type { RunRow } from "./run.ts";

/** A run with what the queue says of it, null unless it waits; and what it asks people about, null unless it waits for that. */
export type RunViewRow = RunRow & { queue_position: number | null; queue_reason: string | null; approvals: unknown };

const OpenApprovals = z.array(OpenApproval);

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
  approvals: OpenApprovals.parse(row.approvals ?? []),
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
  // Nobody is ahead of a run that waits for a time, or for people: it gets in line after that.
  if (row.status === "waiting") {
    return row.resume_at === null
      ? { position: 0, reason: "approval", ...(row.deadline_at ? { expires_at: row.deadline_at.toISOString() } : {}) }
      : { position: 0, reason: "provider_limit", resume_at: row.resume_at.toISOString() };
  }
  const { queue_position: position, queue_reason: reason } = row;
  if (position == null || reason == null) return null;
  return { position, reason: QueueReason.parse(reason) };
};

/**
 * The columns of `RunViewRow` beside those of a run, from a joined `queue` that has a row for each run that waits. A running run whose
 * lease is over waits, too: its worker is lost or has handed it over, and the next one is first in line.
 */
export const queueColumns = (run: "agent_runs" | "listed"): RawBuilder<unknown> => {
  const orphaned = sql`${sql.table(run)}.status = 'running' and ${sql.table(run)}.lease_until < clock_timestamp()`;
  return sql`case when ${orphaned} then 0 else queue."position" end as queue_position,
    case when ${orphaned} then 'takeover' else queue.reason end as queue_reason,
    case when ${sql.table(run)}.status = 'waiting' and ${sql.table(run)}.resume_at is null then (
      select jsonb_agg(jsonb_build_object('tool_call_id', tool_calls.call_id, 'name', tool_calls.name, 'arguments', tool_calls.arguments,
        'digest', tool_approvals.digest) order by tool_calls.position)
      from cortex.tool_approvals join cortex.tool_calls using (run_id, call_id)
      where tool_approvals.run_id = ${sql.table(run)}.id and tool_approvals.decision is null
    ) end as approvals`;
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
