import type { ListRunsQuery, Page, Run } from "@cortex/contracts";
import { isAfter, placeOf, toPage, type Tx } from "@cortex/db";
import { sql } from "kysely";
import { readPlace } from "./list-page.ts";
import { queueColumns, type RunViewRow, toRun } from "./run-view.ts";

/**
 * Runs, newest first, with their places in the queue: of every account of the caller, or of the one that the transaction names; narrowed to
 * a status or a thread if given. One statement; the line of waiting runs is read once for the page. Error: `invalid_cursor`.
 */
export const listRuns = async (tx: Tx, input: ListRunsQuery): Promise<Page<Run>> => {
  const { status, thread_id: threadId, limit, cursor } = input;
  const result = await sql<RunViewRow & { place: string }>`
    with listed as (
      select newest.* from cortex.readable_accounts() account (id)
      -- Account by account, each from its own index: row-level security alone would read the runs of everybody first.
      cross join lateral (
        select agent_runs.*, ${placeOf("agent_runs")} as place
        from cortex.agent_runs
          join cortex.projects on projects.id = agent_runs.project_id and projects.deleted_at is null
        where agent_runs.account_id = account.id and ${isAfter("agent_runs", readPlace(cursor))}
          and ${status === undefined ? sql`true` : sql`agent_runs.status = ${status}`}
          and ${threadId === undefined ? sql`true` : sql`agent_runs.thread_id = ${threadId}`}
        order by agent_runs.created_at desc, agent_runs.id desc
        limit ${limit + 1}
      ) newest
      order by newest.created_at desc, newest.id desc
      limit ${limit + 1}
    ), waiting as (
      select array_agg(id) as run_ids from listed where status = 'queued'
    )
    select listed.*, ${queueColumns("listed")}
    from listed
      left join (
        select states.* from waiting, cortex.queue_states(waiting.run_ids) states where waiting.run_ids is not null
      ) queue on queue.run_id = listed.id
    order by listed.created_at desc, listed.id desc`.execute(tx);
  return toPage(result.rows, limit, toRun);
};
