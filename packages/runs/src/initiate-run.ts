import { AppError, type InitiatedRun } from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { sql } from "kysely";
import { startInTransaction, startOnce, type StartRunDeps, type StartRunInput } from "./start-run.ts";

export interface InitiateRunInput extends Omit<StartRunInput, "threadId" | "prompt"> {
  prompt: string;
}

/** The first line of a prompt, short enough for a name. */
const nameFrom = (prompt: string): string => {
  const line = prompt.trim().split("\n", 1)[0]?.trim() ?? "";
  const short = line.length > 60 ? `${line.slice(0, 59).trimEnd()}…` : line;
  return short.toWellFormed() || "Untitled";
};

/**
 * A project, its thread, the first message and the run in one transaction: all of it or nothing. For the caller's personal account unless
 * another one is named.
 * @throws what `startRun` throws; `not_found` for an account that the caller is no member of
 */
export const initiateRun = (deps: StartRunDeps, input: InitiateRunInput): Promise<InitiatedRun> =>
  startOnce(deps, input, async (tx) => {
    const place = await createThread(tx, { ...input, name: nameFrom(input.prompt) });
    const started = await startInTransaction(tx, deps, { ...input, threadId: place.threadId });
    const { thread_id, agent_run_id } = started.run;
    const project_id = place.projectId as InitiatedRun["project_id"];
    return { result: { project_id, thread_id, agent_run_id }, delivery: started.delivery };
  });

const createThread = async (
  tx: Tx,
  input: { userId: string; accountId: string | null; name: string },
): Promise<{ projectId: string; threadId: string }> => {
  const created = await sql<{ project_id: string; thread_id: string }>`
    with account as (
      select id from cortex.accounts
      where case when ${input.accountId}::uuid is null then personal_user_id = ${input.userId} else id = ${input.accountId}::uuid end
    ), project as (
      insert into cortex.projects (account_id, name) select id, ${input.name} from account returning id, account_id
    )
    insert into cortex.threads (account_id, project_id, title) select account_id, id, ${input.name} from project
    returning project_id, id as thread_id`.execute(tx);
  const [row] = created.rows;
  if (!row) throw new AppError("not_found", "there is no such account");
  return { projectId: row.project_id, threadId: row.thread_id };
};
