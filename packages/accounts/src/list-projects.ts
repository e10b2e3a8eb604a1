import { AppError, type ListQuery, type Page, type Project } from "@cortex/contracts";
import { isAfter, parseListPlace, placeOf, toPage, type Tx } from "@cortex/db";
import { sql } from "kysely";
import { actingAccount, type Caller } from "./caller.ts";
import { type ProjectRow, sandboxOf, toProject } from "./project-view.ts";

/**
 * The projects of the account that the caller acts for, newest first.
 * Errors: `not_found` (no such account), `invalid_cursor`.
 */
export const listProjects = async (tx: Tx, input: { caller: Caller } & ListQuery): Promise<Page<Project>> => {
  const place = input.cursor === undefined ? null : parseListPlace(input.cursor);
  if (place === null && input.cursor !== undefined)
    throw new AppError("invalid_cursor", "The cursor is not one of ours.");
  const result = await sql<(ProjectRow & { place: string }) | { id: null }>`
    select listed.* from ${actingAccount(input.caller)} acting
    left join lateral (
      select projects.*, ${sandboxOf("projects.id")} as sandbox_id, ${placeOf("projects")} as place
      from cortex.projects
      where projects.account_id = acting.id and projects.deleted_at is null and ${isAfter("projects", place)}
      order by projects.created_at desc, projects.id desc
      limit ${input.limit + 1}
    ) listed on true
    order by listed.created_at desc, listed.id desc`.execute(tx);
  if (result.rows.length === 0) throw new AppError("not_found", "There is no such account.");
  return toPage(
    result.rows.filter((row) => row.id !== null),
    input.limit,
    toProject,
  );
};
