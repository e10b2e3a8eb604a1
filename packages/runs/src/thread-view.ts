import { Metadata, type Thread } from "@cortex/contracts";
import type { DB } from "@cortex/db";
import { type RawBuilder, type Selectable, sql } from "kysely";

export type ThreadRow = Selectable<DB["threads"]> & { active_run_id: string | null };

/** The one run of a thread that has not ended, or null; answered by the partial unique index. */
export const activeRunOf = (threadColumn: string): RawBuilder<string | null> => sql<string | null>`(
  select agent_runs.id from cortex.agent_runs
  where agent_runs.thread_id = ${sql.ref(threadColumn)} and agent_runs.status in ('queued', 'running', 'waiting')
)`;

/** A stored thread as it stands on the wire. */
export const toThread = (row: ThreadRow): Thread => ({
  id: row.id as Thread["id"],
  project_id: row.project_id as Thread["project_id"],
  title: row.title,
  metadata: Metadata.parse(row.metadata),
  active_run_id: row.active_run_id as Thread["active_run_id"],
  created_at: row.created_at.toISOString(),
  updated_at: row.updated_at.toISOString(),
});
