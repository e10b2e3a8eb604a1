import type { Project } from "@cortex/contracts";
import type { DB } from "@cortex/db";
import { type RawBuilder, type Selectable, sql } from "kysely";

export type ProjectRow = Selectable<DB["projects"]> & { sandbox_id: string | null };

/** The living sandbox of a project, or null: it is made on first need. */
export const sandboxOf = (projectColumn: string): RawBuilder<string | null> => sql<string | null>`(
  select sandboxes.id from cortex.sandboxes
  where sandboxes.project_id = ${sql.ref(projectColumn)} and sandboxes.state <> 'deleted'
)`;

/** A stored project as it stands on the wire. */
export const toProject = (row: ProjectRow): Project => ({
  id: row.id as Project["id"],
  account_id: row.account_id as Project["account_id"],
  name: row.name,
  description: row.description,
  sandbox_id: row.sandbox_id as Project["sandbox_id"],
  created_at: row.created_at.toISOString(),
  updated_at: row.updated_at.toISOString(),
});
