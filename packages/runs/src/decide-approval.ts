import {
  type ApprovalAnswer,
  AppError,
  type DecideApproval,
  isTerminal,
  type RunStatus,
  type ToolCallRequest,
} from "@cortex/contracts";
import { asUser, type Db, jsonText, type Tx } from "@cortex/db";
import { failpoint } from "@cortex/failpoints";
import { sql } from "kysely";
import { type ApprovalRow, toDecidedApproval } from "./approvals.ts";

export interface DecideApprovalDeps {
  db: Db;
  /** What is wrong with arguments that a person wrote for this tool; null when they fit, or nobody can say before they run. */
  checkArguments: (name: string, args: ToolCallRequest["arguments"]) => string | null;
  /** The run is in line again: gives it a place and delivers it. Never throws; a worker looks every second. */
  admitSoon: () => void;
}

export interface DecideApprovalInput {
  runId: string;
  callId: string;
  userId: string;
  accountId: string | null;
  body: DecideApproval;
}

/**
 * Decides about one call of a run that waits for people, once and for all. Whoever decides about the last one puts the run in line again, in
 * the same transaction; its deadline moves by as long as it has waited.
 *
 * The row of the run is locked first, as a stop and the sweeper do: of them, and of many deciders, one comes first, and the others see that.
 * Repeating a decision gives the same answer again, also when the run went on or has ended.
 * @returns null if the caller sees no such run, or it asks nobody about such a call. Errors: `forbidden` (a viewer), `approval_mismatch`
 *   (the digest is of another call), `conflict` (decided otherwise, or the run does not wait for it any more), `validation_failed`
 */
export const decideApproval = async (
  deps: DecideApprovalDeps,
  input: DecideApprovalInput,
): Promise<ApprovalAnswer | null> => {
  const decided = await asUser(deps.db, input, (tx) => decide(tx, deps, input));
  if (!decided) return null;
  await failpoint("decide.after_commit");
  const { resumed, ...answer } = decided;
  if (resumed) deps.admitSoon();
  return answer;
};

interface LockedRun {
  status: RunStatus;
  attempt: number;
  expired: boolean;
}

const decide = async (
  tx: Tx,
  deps: DecideApprovalDeps,
  input: DecideApprovalInput,
): Promise<(ApprovalAnswer & { resumed: boolean }) | null> => {
  const { runId, callId, body } = input;
  const locked = await sql<LockedRun>`
    select agent_runs.status, agent_runs.attempt, coalesce(agent_runs.deadline_at < clock_timestamp(), false) as expired
    from cortex.agent_runs
      join cortex.projects on projects.id = agent_runs.project_id and projects.deleted_at is null
    where agent_runs.id = ${runId}
    for update of agent_runs`.execute(tx);
  const asked = await readAsked(tx, input);
  if (!asked) return null;
  const [run] = locked.rows;
  // Row-level security lets a viewer read the run but not lock it.
  if (!run) throw new AppError("forbidden", "your role in this account may not decide about tool calls");
  if (asked.digest !== body.digest) {
    throw new AppError("approval_mismatch", "this is not the call that was shown: read the run again");
  }
  if (asked.decision !== null) {
    if (!isSame(asked, body)) throw new AppError("conflict", `the call is decided already: ${asked.decision}`);
    return answerOf(asked, run.status, await countOpen(tx, asked), false);
  }
  if (run.status !== "waiting" || run.attempt !== asked.attempt || run.expired) {
    const why = isTerminal(run.status)
      ? "has ended"
      : run.expired
        ? "has waited too long"
        : "does not wait for this call";
    throw new AppError("conflict", `too late: the run ${why}`);
  }
  if (body.arguments !== undefined) {
    const problem = deps.checkArguments(asked.name, body.arguments);
    if (problem !== null) {
      throw new AppError("validation_failed", problem, { errors: [{ pointer: "/arguments", detail: problem }] });
    }
  }
  const stored = await sql<{ done: boolean }>`
    select cortex.decide_tool_call(${runId}, ${callId}, ${body.digest}, ${body.decision},
      ${body.arguments === undefined ? null : jsonText(body.arguments)}::jsonb, ${body.comment ?? null}) as done`.execute(
    tx,
  );
  const decided = await readAsked(tx, input);
  if (!stored.rows[0]?.done || !decided)
    throw new Error(`the approval of call ${callId} changed under the lock of its run`);
  const open = await countOpen(tx, asked);
  if (open === 0) await sql`select cortex.end_wait_for_people(${runId})`.execute(tx);
  return answerOf(decided, open === 0 ? "queued" : "waiting", open, open === 0);
};

type Asked = ApprovalRow & { name: string };

const readAsked = async (tx: Tx, input: { runId: string; callId: string }): Promise<Asked | null> => {
  const found = await sql<Asked>`
    select tool_approvals.*, tool_calls.name
    from cortex.tool_approvals
      join cortex.tool_calls using (run_id, call_id)
      join cortex.agent_runs on agent_runs.id = tool_approvals.run_id
      join cortex.projects on projects.id = agent_runs.project_id and projects.deleted_at is null
    where tool_approvals.run_id = ${input.runId} and tool_approvals.call_id = ${input.callId}`.execute(tx);
  return found.rows[0] ?? null;
};

const countOpen = async (tx: Tx, { run_id: runId, attempt }: Asked): Promise<number> => {
  const found = await sql<{ open: number }>`
    select count(*)::int as open from cortex.tool_approvals
    where run_id = ${runId} and attempt = ${attempt} and decision is null`.execute(tx);
  return found.rows[0]?.open ?? 0;
};

/** The comment may be put in other words by whoever repeats it; what happens may not. */
const isSame = (asked: Asked, body: DecideApproval): boolean =>
  asked.decision === body.decision && sameJson(asked.edited_arguments, body.arguments ?? null);

const sameJson = (left: unknown, right: unknown): boolean => {
  if (left === right) return true;
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const [ours, theirs] = [Object.entries(left), new Map<string, unknown>(Object.entries(right))];
  return (
    ours.length === theirs.size && ours.every(([key, value]) => theirs.has(key) && sameJson(value, theirs.get(key)))
  );
};

const answerOf = (asked: Asked, status: RunStatus, open: number, resumed: boolean) => {
  const decided = toDecidedApproval({ call_id: asked.call_id, name: asked.name }, asked);
  if (!decided) throw new Error(`the approval of call ${asked.call_id} is not decided`);
  return { ...decided, status, open_approvals: open, resumed };
};
