import { resolveAgentForRun } from "@cortex/agents";
import { openGate, reserveForRun } from "@cortex/billing";
import { AppError, type Metadata, type StartedRun, textParts } from "@cortex/contracts";
import { asUser, type Db, isUniqueViolation, jsonText, type Tx } from "@cortex/db";
import { failpoint, isSwitchedOff } from "@cortex/failpoints";
import { sql } from "kysely";
import type { Deliver } from "./run.ts";

export interface StartRunDeps {
  db: Db;
  deliver: Deliver;
  /** The model of an agent that names none. */
  defaultModel: string;
  /** Refuses a model that this installation does not serve (`unknown_model`). */
  checkModel: (model: string) => void;
  /**
   * Runs around the start inside its transaction; for idempotency keys, which answer a repeated request instead of starting again. Left out:
   * every call starts a run.
   */
  once?: Once;
}

/** Creates what is asked for, or says again what it created the first time. Nothing of `create` is kept if it throws. */
export type Once = <Created>(tx: Tx, create: () => Promise<Created>) => Promise<Created>;

const always: Once = (_tx, create) => create();

export interface StartRunInput {
  userId: string;
  accountId: string | null;
  threadId: string;
  requestId: string;
  agentId: string | null;
  model: string | null;
  prompt: string | null;
  maxCostUsd: string | null;
  tools: readonly string[] | null;
  metadata: Metadata;
}

/**
 * Starts a run: durable when this returns, and delivered to a worker at once if the fleet has room, otherwise when it is its turn. Needs no
 * Redis.
 * @throws AppError `not_found`, `project_deleted`, `thread_busy` (with the run in the way), `thread_empty`, `thread_answered`,
 *   `insufficient_credits`, `model_not_in_plan`, `too_many_runs`, `unknown_model`, `forbidden`; then nothing was written
 */
export const startRun = (deps: StartRunDeps, input: StartRunInput): Promise<StartedRun> =>
  startOnce(deps, input, async (tx) => {
    const started = await startInTransaction(tx, deps, input);
    return { result: started.run, delivery: started.delivery };
  });

/**
 * One transaction with the start in it, and after it the hand-over to the queue. `delivery` is null if the run has to wait; nor is anything
 * delivered for a repeated request.
 *
 * A start that waited for the thread's lock looks for a run in the way with eyes older than that lock, misses the one of the start before it,
 * and fails at the index. Once more, then: it finds that run and names it.
 */
export const startOnce = async <Result extends { agent_run_id: string }>(
  deps: Pick<StartRunDeps, "db" | "once" | "deliver">,
  input: { userId: string; accountId: string | null },
  start: (tx: Tx) => Promise<{ result: Result; delivery: number | null }>,
): Promise<Result> => {
  const transact = () =>
    asUser(deps.db, input, async (tx) => {
      let delivery: number | null = null;
      const result = await (deps.once ?? always)(tx, async () => {
        const started = await start(tx);
        delivery = started.delivery;
        return started.result;
      });
      await failpoint("start.before_commit");
      return { result, delivery };
    });
  const { result, delivery } = await transact().catch((error: unknown) => {
    if (isThreadTaken(error)) return transact();
    throw error;
  });
  await failpoint("start.after_commit");
  if (delivery !== null) deps.deliver({ runId: result.agent_run_id, delivery });
  await failpoint("start.before_response");
  return result;
};

const isThreadTaken = (error: unknown): boolean =>
  error instanceof AppError && isUniqueViolation(error.cause, "agent_runs_one_active_per_thread");

/** The start inside somebody's transaction; the caller delivers after its commit. `delivery` is null if the run has to wait. */
export const startInTransaction = async (
  tx: Tx,
  deps: Pick<StartRunDeps, "defaultModel" | "checkModel">,
  input: StartRunInput,
): Promise<{ run: StartedRun; delivery: number | null }> => {
  const thread = await lockThread(tx, input);
  const { account_id: accountId, project_id: projectId, thread_id: threadId } = thread;
  if (thread.deleted) throw new AppError("project_deleted", "the project of this thread has been deleted");
  if (thread.active_run_id) throw busy(thread.active_run_id);
  if (thread.next_seq === 0 && input.prompt === null) {
    throw new AppError("thread_empty", "the thread has no message: post one, or send a prompt");
  }
  if (thread.answered) {
    throw new AppError("thread_answered", "the thread's last message is an answer: post a message, or send a prompt");
  }

  const agent = await resolveAgentForRun(tx, { accountId, agentId: input.agentId });
  if (!agent) throw new AppError("not_found", "there is no such agent");
  const model = input.model ?? agent.model ?? deps.defaultModel;
  deps.checkModel(model);
  const gate = await openGate(tx, { accountId, model });

  const runId = crypto.randomUUID();
  const reservedUsd = gate.reserveUsd;
  const delivery = await insertRun(tx, { ...input, runId, accountId, projectId, threadId, agent, model, reservedUsd });
  await reserveForRun(tx, { accountId, runId, reserveUsd: reservedUsd });
  return { run: { agent_run_id: runId, thread_id: threadId, status: "queued" } as StartedRun, delivery };
};

/**
 * Is the last message of `threads` a whole answer, with which its run was done? A model that is asked with it says nothing, or refuses. What a
 * failed or stopped run has left may be continued.
 */
const lastIsAnAnswer = sql`
  select messages.role = 'assistant' and messages.status = 'complete' and messages.tool_calls is null
    and coalesce(agent_runs.status = 'completed', true)
  from cortex.messages left join cortex.agent_runs on agent_runs.id = messages.run_id
  where messages.thread_id = threads.id and messages.seq = threads.next_seq - 1`;

interface LockedThread {
  thread_id: string;
  project_id: string;
  account_id: string;
  next_seq: number;
  deleted: boolean;
  active_run_id: string | null;
  /** There is no prompt, and nothing in the thread that waits for an answer. Null: with a prompt, or without a message. */
  answered: boolean | null;
}

/**
 * The thread under lock, so that seq and "one active run" are decided by one start at a time; and its project, so that it is not deleted
 * between this look at it and the run.
 */
const lockThread = async (tx: Tx, input: Pick<StartRunInput, "threadId" | "prompt">): Promise<LockedThread> => {
  const found = await sql<LockedThread>`
    select threads.id as thread_id, threads.project_id, threads.account_id, threads.next_seq,
      projects.deleted_at is not null as deleted,
      (select agent_runs.id from cortex.agent_runs
        where agent_runs.thread_id = threads.id and agent_runs.status in ('queued', 'running', 'waiting')) as active_run_id,
      case when ${input.prompt === null} then (${lastIsAnAnswer}) end as answered
    from cortex.threads join cortex.projects on projects.id = threads.project_id
    where threads.id = ${input.threadId}
    for update of threads for key share of projects`.execute(tx);
  const [thread] = found.rows;
  if (thread) return thread;
  // Row-level security lets a viewer read the thread but not lock it.
  const visible = await tx.selectFrom("threads").select("id").where("id", "=", input.threadId).executeTakeFirst();
  if (visible) throw new AppError("forbidden", "your role in this account may not start runs");
  throw new AppError("not_found", "there is no such thread");
};

const busy = (runId: string): AppError =>
  new AppError("thread_busy", "the thread has an active run; wait for its end or stop it", { agent_run_id: runId });

/**
 * Prompt, run and outbox row in one statement; where the fleet has room the run is admitted with it, so that the happy path needs no second
 * write. Returns the number of its first delivery, or null if it has to wait for its turn.
 */
const insertRun = async (
  tx: Tx,
  run: StartRunInput & {
    runId: string;
    projectId: string;
    agent: { agentId: string; versionId: string };
    model: string;
    reservedUsd: string;
  },
): Promise<number | null> => {
  const prompt = run.prompt === null ? null : jsonText(textParts(run.prompt));
  try {
    const inserted = await sql<{ delivery: number }>`
      with place as materialized (
        select case when cortex.has_place_for(${run.accountId}) then clock_timestamp() end as admitted_at
      ), numbered as (
        update cortex.threads set next_seq = next_seq + 1, updated_at = now()
        where id = ${run.threadId} and ${prompt}::jsonb is not null
        returning next_seq - 1 as seq
      ), message as (
        insert into cortex.messages (account_id, thread_id, seq, role, content)
        select ${run.accountId}, ${run.threadId}, seq, 'user', ${prompt}::jsonb from numbered
      ), run as (
        insert into cortex.agent_runs (id, account_id, project_id, thread_id, agent_id, agent_version_id, created_by, request_id, model,
          tools, max_cost_usd, metadata, reserved_usd, admitted_at, delivery)
        select ${run.runId}, ${run.accountId}, ${run.projectId}, ${run.threadId}, ${run.agent.agentId}, ${run.agent.versionId},
          ${run.userId}, ${run.requestId}, ${run.model}, ${run.tools}::text[], ${run.maxCostUsd}::numeric,
          ${jsonText(run.metadata)}::jsonb, ${run.reservedUsd}::numeric, place.admitted_at,
          case when place.admitted_at is null then 0 else 1 end
        from place
        returning id, account_id, admitted_at, delivery
      ), waiting as (
        insert into cortex.outbox (run_id, account_id, admitted_at) select id, account_id, admitted_at from run
        ${isSwitchedOff("outbox") ? sql`where false` : sql``}
      )
      select delivery from run`.execute(tx);
    return inserted.rows[0]?.delivery || null;
  } catch (error) {
    // The index is the last word on one active run per thread; see startOnce.
    if (isUniqueViolation(error, "agent_runs_one_active_per_thread")) {
      throw new AppError(
        "thread_busy",
        "the thread has an active run; wait for its end or stop it",
        {},
        { cause: error },
      );
    }
    throw error;
  }
};
