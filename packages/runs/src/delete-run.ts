import { callerRole, requireRole } from "@cortex/accounts";
import { type AccountRole, AppError, isTerminal } from "@cortex/contracts";
import type { Tx } from "@cortex/db";
import { sql } from "kysely";
import type { RunRow } from "./run.ts";

/**
 * Deletes an ended run with its steps and tool calls. What it said stays in the thread, what it cost stays in the ledger.
 * @returns false if there is no such run. Errors: `forbidden`, `run_active`
 */
export const deleteRun = async (tx: Tx, input: { runId: string }): Promise<boolean> => {
  // A run that has ended never becomes active again, so what this statement saw stays true; one that ends meanwhile is refused all the same.
  const found = await sql<Pick<RunRow, "status"> & { role: AccountRole | null }>`
    with target as (
      select agent_runs.id, agent_runs.status, ${callerRole("agent_runs.account_id")} as role
      from cortex.agent_runs join cortex.projects on projects.id = agent_runs.project_id and projects.deleted_at is null
      where agent_runs.id = ${input.runId}
    ), gone as (
      delete from cortex.agent_runs using target
      where agent_runs.id = target.id and target.role <> 'viewer' and agent_runs.status in ('completed', 'failed', 'stopped')
    )
    select status, role from target`.execute(tx);
  const [run] = found.rows;
  if (!run) return false;
  requireRole(run.role, "member");
  if (!isTerminal(run.status)) {
    throw new AppError("run_active", "The run has not ended: stop it first.", { agent_run_id: input.runId });
  }
  return true;
};
