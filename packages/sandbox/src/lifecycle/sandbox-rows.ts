import { asAccount, asUser, type Db, type Tx } from "@cortex/db";
import { sql } from "kysely";

/**
 * The rows of `cortex.sandboxes`: at most one living row per project (a unique index is the last word), and every change of its state one
 * conditional statement.
 *
 *   creating -> started <-> stopped, archived      creating -> error -> creating      any -> deleted
 *
 * Whoever moves a row to `creating` is the only one who may make the sandbox, until its claim is older than a creation can take. The
 * claim is the row's `updated_at`, kept as text, because a JavaScript date would lose its microseconds.
 */
export interface SandboxRow {
  id: string;
  provider: string;
  external_id: string | null;
  state: "creating" | "started" | "stopped" | "archived" | "error" | "deleted";
  /** Why it is in `error`. */
  detail: string | null;
  claim: string;
  /** Milliseconds since the last change, by the database's clock. */
  age_ms: number;
}

/** Whom a statement acts for. */
export interface SandboxScope {
  accountId: string;
  projectId: string;
  /** The caller of the API; absent for a worker, which acts for the account of its run. */
  userId?: string | null;
}

export const inScope = <Result>(db: Db, scope: SandboxScope, work: (tx: Tx) => Promise<Result>): Promise<Result> => {
  const { accountId, userId = null } = scope;
  return userId === null ? asAccount(db, { accountId }, work) : asUser(db, { userId, accountId }, work);
};

const claimed = sql<string>`updated_at::text`.as("claim");
const age = sql<number>`(extract(epoch from clock_timestamp() - updated_at) * 1000)::float8`.as("age_ms");
const columns = ["id", "provider", "external_id", "state", "detail", claimed, age] as const;

/** The living row of a project, or null. */
export const findSandbox = async (tx: Tx, scope: SandboxScope): Promise<SandboxRow | null> => {
  const row = await tx
    .selectFrom("sandboxes")
    .select(columns)
    .where("project_id", "=", scope.projectId)
    .where("account_id", "=", scope.accountId)
    // A literal, here and below: a parameter would hide from the plan of a prepared statement that the partial index fits.
    .where("state", "<>", sql.lit("deleted"))
    .executeTakeFirst();
  return row ?? null;
};

/** Adds the row of a project that has none. Null if there is one by now, or no such project in this account. */
export const insertCreating = async (
  tx: Tx,
  scope: SandboxScope,
  input: { id: string; provider: string },
): Promise<SandboxRow | null> => {
  const row = await tx
    .insertInto("sandboxes")
    .columns(["id", "account_id", "project_id", "provider", "state"])
    .expression((eb) =>
      eb
        .selectFrom("projects")
        .select([
          eb.val(input.id).as("id"),
          "projects.account_id",
          "projects.id as project_id",
          eb.val(input.provider).as("provider"),
          sql.lit("creating").as("state"),
        ])
        .where("projects.id", "=", scope.projectId)
        .where("projects.account_id", "=", scope.accountId)
        .where("projects.deleted_at", "is", null),
    )
    .onConflict((conflict) => conflict.column("project_id").where("state", "<>", sql.lit("deleted")).doNothing())
    .returning(columns)
    .executeTakeFirst();
  return row ?? null;
};

/** Claims the (re)making of a sandbox. Null if somebody else has changed the row since it was read. */
export const claimCreation = async (tx: Tx, row: SandboxRow, provider: string): Promise<SandboxRow | null> => {
  const claimedRow = await tx
    .updateTable("sandboxes")
    .set({ state: "creating", provider, detail: null, updated_at: sql`clock_timestamp()` })
    .where("id", "=", row.id)
    .where("state", "=", row.state)
    .where("updated_at", "=", sql<Date>`${row.claim}::timestamptz`)
    .returning(columns)
    .executeTakeFirst();
  return claimedRow ?? null;
};

/** The sandbox of a claim exists. False if the claim was taken over meanwhile. */
export const finishCreation = async (tx: Tx, row: SandboxRow, externalId: string): Promise<boolean> => {
  const result = await tx
    .updateTable("sandboxes")
    .set({
      state: "started",
      external_id: externalId,
      last_active_at: sql`clock_timestamp()`,
      updated_at: sql`clock_timestamp()`,
    })
    .where("id", "=", row.id)
    .where("state", "=", "creating")
    .where("updated_at", "=", sql<Date>`${row.claim}::timestamptz`)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
};

/** The sandbox of a claim could not be made; the next one who needs it may try again. */
export const failCreation = async (tx: Tx, row: SandboxRow, detail: string): Promise<void> => {
  await tx
    .updateTable("sandboxes")
    .set({ state: "error", detail: detail.slice(0, 2_000), updated_at: sql`clock_timestamp()` })
    .where("id", "=", row.id)
    .where("state", "=", "creating")
    .where("updated_at", "=", sql<Date>`${row.claim}::timestamptz`)
    .execute();
};

/** The agent works with it: not idle, and running from here on. */
export const markActive = async (tx: Tx, id: string, provider: string): Promise<void> => {
  await tx
    .updateTable("sandboxes")
    .set({ state: "started", provider, last_active_at: sql`clock_timestamp()`, updated_at: sql`clock_timestamp()` })
    .where("id", "=", id)
    .where("state", "in", ["started", "stopped", "archived"])
    .execute();
};
