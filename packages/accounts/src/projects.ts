import { type AccountRole, AppError, type CreateProject, type Project, type UpdateProject } from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { sql } from "kysely";
import { requireRole } from "./account-role.ts";
import { actingAccount, type Caller, callerRole } from "./caller.ts";
import { sandboxOf, type ProjectRow, toProject } from "./project-view.ts";

/** A project that a caller can see, and what the statement made of it: nothing, if the caller's role does not allow it. */
type Changed = { role: AccountRole | null } & { [Column in keyof ProjectRow]: ProjectRow[Column] | null };

const project = (row: Changed): Project | null => (row.id === null ? null : toProject(row as Changed & ProjectRow));

/** Errors: `not_found` (no such account), `forbidden` (a viewer). */
export const createProject = async (tx: Tx, input: { caller: Caller } & CreateProject): Promise<Project> => {
  const result = await sql<Changed>`
    with acting as (
      select * from ${actingAccount(input.caller)} acting
    ), created as (
      insert into cortex.projects (account_id, name, description)
      select id, ${input.name}, ${input.description} from acting where role <> 'viewer'
      returning *
    )
    select acting.role, created.*, null::uuid as sandbox_id from acting left join created on true`.execute(tx);
  const [row] = result.rows;
  if (!row) throw new AppError("not_found", "There is no such account.");
  requireRole(row.role, "member");
  const created = project(row);
  if (!created) throw new Error("the project was neither created nor refused");
  return created;
};

/** Null: there is no such project for this caller, or it is deleted. */
export const getProject = async (tx: Tx, input: { projectId: string }): Promise<Project | null> => {
  const row = await tx
    .selectFrom("projects")
    .selectAll()
    .select(sandboxOf("projects.id").as("sandbox_id"))
    .where("id", "=", input.projectId)
    .where("deleted_at", "is", null)
    .executeTakeFirst();
  return row ? toProject(row) : null;
};

/** Changes what is given and leaves the rest. Null: no such project. Error: `forbidden`. */
export const updateProject = async (
  tx: Tx,
  input: { projectId: string; changes: UpdateProject },
): Promise<Project | null> => {
  const { name, description } = input.changes;
  const result = await sql<Changed>`
    with target as (
      select id, ${callerRole("projects.account_id")} as role from cortex.projects
      where id = ${input.projectId} and deleted_at is null
    ), changed as (
      update cortex.projects set
        name = coalesce(${name ?? null}, name),
        description = coalesce(${description ?? null}, description),
        updated_at = now()
      from target where projects.id = target.id and target.role <> 'viewer' and projects.deleted_at is null
      returning projects.*
    )
    select target.role, changed.*, ${sandboxOf("target.id")} as sandbox_id from target left join changed on true`.execute(
    tx,
  );
  const [row] = result.rows;
  if (!row) return null;
  requireRole(row.role, "member");
  return project(row);
};

/**
 * Deletes a project: it is gone for its users, its rows stay until they are purged.
 *
 * `for update` waits for every start that has already inserted its run (the foreign key's lock), so the check after it sees that run.
 * A start must lock the project's row in turn before it inserts, or it might miss this deletion.
 * @returns false if there is no such project. Errors: `forbidden`, `run_active`
 */
export const deleteProject = async (tx: Tx, input: { projectId: string }): Promise<boolean> => {
  const found = await sql<{ account_id: string; role: AccountRole | null; locked: string | null }>`
    with target as (
      select id, account_id, ${callerRole("projects.account_id")} as role from cortex.projects
      where id = ${input.projectId} and deleted_at is null
    ), locked as (
      select id from cortex.projects where id = ${input.projectId} and deleted_at is null for update
    )
    select target.account_id, target.role, locked.id as locked from target left join locked on true`.execute(tx);
  const [target] = found.rows;
  if (!target) return false;
  requireRole(target.role, "member");
  if (target.locked === null) return false;

  const result = await sql<{ active_run_id: string | null }>`
    with active as (
      select id from cortex.agent_runs
      where account_id = ${target.account_id} and project_id = ${input.projectId} and status in ('queued', 'running', 'waiting')
      limit 1
    ), gone as (
      update cortex.projects set deleted_at = now(), updated_at = now()
      where id = ${input.projectId} and not exists (select 1 from active)
    )
    select (select id from active) as active_run_id`.execute(tx);
  const active = result.rows[0]?.active_run_id ?? null;
  if (active !== null) {
    throw new AppError("run_active", "A run of this project has not ended: stop it first.", { agent_run_id: active });
  }
  return true;
};
