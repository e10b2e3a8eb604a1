import { actingAccount, type Caller, callerRole, requireRole } from "@cortex/accounts";
import { type AccountRole, AppError, type CreateThread, type Thread, type UpdateThread } from "@cortex/contracts";
import { jsonText, type Tx } from "@cortex/db";
import { sql } from "kysely";
import { activeRunOf, type ThreadRow, toThread } from "./thread-view.ts";

/** A thread that a caller can see, and what the statement made of it: nothing, if the caller's role does not allow it. */
type Changed = { acting_role: AccountRole | null } & ({ id: null } | ThreadRow);

/** A project's name has at most this many characters (supabase/migrations: projects), a thread's title may have more. */
const projectNameLength = 200;

/**
 * A thread in a project, or with a project of its own in the account that the caller acts for. One statement.
 * Errors: `not_found` (no such project or account), `forbidden`.
 */
export const createThread = async (
  tx: Tx,
  input: { caller: Caller; projectId: string | null } & Pick<CreateThread, "title" | "metadata">,
): Promise<Thread> => {
  const { caller, projectId, title, metadata } = input;
  const home =
    projectId === null
      ? sql`
        acting as (
          select role as acting_role, id as account_id from ${actingAccount(caller)} acting
        ), project as (
          insert into cortex.projects (account_id, name)
          select account_id, coalesce(nullif(trim(left(${title}, ${projectNameLength})), ''), 'Untitled')
          from acting where acting_role <> 'viewer'
          returning id, account_id
        )`
      : sql`
        acting as (
          select ${callerRole("projects.account_id")} as acting_role, account_id from cortex.projects
          where id = ${projectId} and deleted_at is null
        ), project as (
          select ${projectId}::uuid as id, account_id from acting where acting_role <> 'viewer'
        )`;
  const result = await sql<Changed>`
    with ${home}, created as (
      insert into cortex.threads (account_id, project_id, title, metadata)
      select account_id, id, ${title}, ${jsonText(metadata)}::jsonb from project
      returning *
    )
    select acting.acting_role, created.*, null::uuid as active_run_id from acting left join created on true`.execute(
    tx,
  );
  const [row] = result.rows;
  if (!row) throw new AppError("not_found", `There is no such ${projectId === null ? "account" : "project"}.`);
  requireRole(row.acting_role, "member");
  if (row.id === null) throw new Error("the thread was neither created nor refused");
  return toThread(row);
};

/** Null: there is no such thread for this caller, or its project is deleted. */
export const getThread = async (tx: Tx, input: { threadId: string }): Promise<Thread | null> => {
  const result = await sql<ThreadRow>`
    select threads.*, ${activeRunOf("threads.id")} as active_run_id
    from cortex.threads join cortex.projects on projects.id = threads.project_id and projects.deleted_at is null
    where threads.id = ${input.threadId}`.execute(tx);
  const [row] = result.rows;
  return row ? toThread(row) : null;
};

/** Changes what is given and leaves the rest; metadata is replaced as a whole. Null: no such thread. Error: `forbidden`. */
export const updateThread = async (
  tx: Tx,
  input: { threadId: string; changes: UpdateThread },
): Promise<Thread | null> => {
  const { title, metadata } = input.changes;
  const result = await sql<Changed>`
    with target as (
      select threads.id, ${callerRole("threads.account_id")} as role
      from cortex.threads join cortex.projects on projects.id = threads.project_id and projects.deleted_at is null
      where threads.id = ${input.threadId}
    ), changed as (
      update cortex.threads set
        title = coalesce(${title ?? null}, title),
        metadata = coalesce(${metadata === undefined ? null : jsonText(metadata)}::jsonb, metadata),
        updated_at = now()
      from target where threads.id = target.id and target.role <> 'viewer'
      returning threads.*
    )
    select target.role as acting_role, changed.*, ${activeRunOf("target.id")} as active_run_id
    from target left join changed on true`.execute(tx);
  const [row] = result.rows;
  if (!row) return null;
  requireRole(row.acting_role, "member");
  return row.id === null ? null : toThread(row);
};

/**
 * Deletes a thread with its messages and runs; what they cost stays in the ledger. The lock makes a start wait or be seen: it takes the same
 * one before it inserts its run.
 * @returns false if there is no such thread. Errors: `forbidden`, `run_active`
 */
export const deleteThread = async (tx: Tx, input: { threadId: string }): Promise<boolean> => {
  const found = await sql<{ role: AccountRole | null; locked: string | null }>`
    with target as (
      select threads.id, ${callerRole("threads.account_id")} as role
      from cortex.threads join cortex.projects on projects.id = threads.project_id and projects.deleted_at is null
      where threads.id = ${input.threadId}
    ), locked as (
      select id from cortex.threads where id = ${input.threadId} for update
    )
    select target.role, locked.id as locked from target left join locked on true`.execute(tx);
  const [target] = found.rows;
  if (!target) return false;
  requireRole(target.role, "member");
  if (target.locked === null) return false;

  // A statement of its own, because it must see what was committed while the lock was waited for.
  const result = await sql<{ active_run_id: string | null }>`
    with active as (
      select ${activeRunOf("threads.id")} as id from cortex.threads where threads.id = ${input.threadId}
    ), gone as (
      delete from cortex.threads using active where threads.id = ${input.threadId} and active.id is null
    )
    select id as active_run_id from active`.execute(tx);
  const active = result.rows[0]?.active_run_id ?? null;
  if (active !== null) {
    throw new AppError("run_active", "The run of this thread has not ended: stop it first.", { agent_run_id: active });
  }
  return true;
};
