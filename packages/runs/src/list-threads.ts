import { actingAccount, type Caller } from "@cortex/accounts";
import { AppError, type ListQuery, type Page, type Thread } from "@cortex/contracts";
import { isAfter, placeOf, toPage, type Tx } from "@cortex/db";
import { sql } from "kysely";
import { readPlace } from "./list-page.ts";
import { activeRunOf, type ThreadRow, toThread } from "./thread-view.ts";

/**
 * The threads of a project or, if none is named, of the account that the caller acts for; newest first.
 * Errors: `not_found` (no such account or project), `invalid_cursor`.
 */
export const listThreads = async (
  tx: Tx,
  input: { caller: Caller; projectId: string | null } & ListQuery,
): Promise<Page<Thread>> => {
  const { caller, projectId, limit, cursor } = input;
  const home =
    projectId === null
      ? sql`(select acting.id as account_id, null::uuid as project_id from ${actingAccount(caller)} acting)`
      : sql`(select account_id, id as project_id from cortex.projects where id = ${projectId} and deleted_at is null)`;
  const inHome =
    projectId === null ? sql`threads.account_id = home.account_id` : sql`threads.project_id = home.project_id`;
  const result = await sql<(ThreadRow & { place: string }) | { id: null }>`
    select listed.* from ${home} home
    left join lateral (
      select threads.*, ${activeRunOf("threads.id")} as active_run_id, ${placeOf("threads")} as place
      from cortex.threads join cortex.projects on projects.id = threads.project_id and projects.deleted_at is null
      where ${inHome} and ${isAfter("threads", readPlace(cursor))}
      order by threads.created_at desc, threads.id desc
      limit ${limit + 1}
    ) listed on true
    order by listed.created_at desc, listed.id desc`.execute(tx);
  if (result.rows.length === 0) {
    throw new AppError("not_found", `There is no such ${projectId === null ? "account" : "project"}.`);
  }
  return toPage(
    result.rows.filter((row) => row.id !== null),
    limit,
    toThread,
  );
};
