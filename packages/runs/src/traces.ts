import { canonicalUsd, type Message, RunError, Usage, type Usd } from "@cortex/contracts";
import { asAccount, asFleet, type Db } from "@cortex/db";
import { sql } from "kysely";
import { argumentsToRun } from "./approvals.ts";
import { workedAttempts } from "./durable-events.ts";
import { readRequests } from "./timeline.ts";
import { runFacts } from "./run-facts.ts";

/**
 * The traces of ended runs, as a line that Postgres keeps: the end of a run puts it in (`trace_due_at`, in the same write), and it leaves
 * when its trace has arrived everywhere. So neither a crash nor a target that is down loses one, and no run waits for any of it.
 */
export interface DueTrace {
  runId: string;
  accountId: string;
  /** Names of targets that have it already. */
  tracedTo: readonly string[];
}

/** A line of those who never arrive must end. */
const keptFor = "7 days";

/**
 * Takes the next of the line. Who takes and dies keeps them from others for `holdMs`; who fails puts them back by just leaving them: the
 * next try comes after a quarter of their age, at least after `holdMs`.
 */
export const claimDueTraces = (db: Db, input: { batch: number; holdMs: number }): Promise<DueTrace[]> =>
  asFleet(db, async (tx) => {
    const claimed = await sql<{ id: string; account_id: string; traced_to: string[] }>`
      with due as (
        select id from cortex.agent_runs where trace_due_at <= clock_timestamp()
        order by trace_due_at limit ${input.batch} for update skip locked
      )
      update cortex.agent_runs
      set trace_due_at = clock_timestamp()
        + greatest(${input.holdMs} * interval '1 millisecond', (clock_timestamp() - completed_at) / 4)
      from due where agent_runs.id = due.id
      returning agent_runs.id, account_id, traced_to`.execute(tx);
    return claimed.rows.map((row) => ({ runId: row.id, accountId: row.account_id, tracedTo: row.traced_to }));
  });

/** @param input.done it has arrived everywhere and leaves the line */
export const noteTraced = (
  db: Db,
  input: { runId: string; tracedTo: readonly string[]; done: boolean },
): Promise<unknown> =>
  asFleet(db, (tx) =>
    sql`
      update cortex.agent_runs set traced_to = ${[...input.tracedTo]}::text[],
        trace_due_at = case when ${input.done} then null else trace_due_at end
      where id = ${input.runId}`.execute(tx),
  );

/** Takes runs out of the line that ended too long ago; where no target is configured, these are all. @returns how many */
export const dropOldTraces = (db: Db, input: { batch: number }): Promise<number> =>
  asFleet(db, async (tx) => {
    const dropped = await sql`
      with old as (
        select id from cortex.agent_runs
        where trace_due_at is not null and completed_at < clock_timestamp() - ${keptFor}::interval
        order by trace_due_at limit ${input.batch} for update skip locked
      )
      update cortex.agent_runs set trace_due_at = null from old where agent_runs.id = old.id`.execute(tx);
    return Number(dropped.numAffectedRows ?? 0n);
  });

/** Everything that the trace of an ended run is made of; null if it is gone, or has not ended. */
export const readTracedRun = (db: Db, input: { runId: string; accountId: string }) =>
  asAccount(db, { accountId: input.accountId, snapshot: true }, async (tx) => {
    const facts = await runFacts(tx, input);
    if (!facts) return null;
    const { run } = facts;
    const { status, completed_at: completedAt } = run;
    if (!completedAt || (status !== "completed" && status !== "failed" && status !== "stopped")) return null;
    const requests: readonly Message[] = (await readRequests(tx, facts)) ?? [];
    const agent = await tx
      .selectFrom("agent_versions")
      .innerJoin("agents", "agents.id", "agent_versions.agent_id")
      .select(["agents.id", "agents.name", "agent_versions.version"])
      .where("agent_versions.id", "=", run.agent_version_id)
      .executeTakeFirstOrThrow();
    const costUsd: Usd = canonicalUsd(run.cost_usd);
    const approvals = new Map(facts.approvals.map((approval) => [approval.call_id, approval]));
    return {
      id: run.id,
      accountId: run.account_id,
      projectId: run.project_id,
      threadId: run.thread_id,
      userId: run.created_by,
      requestId: run.request_id,
      agent,
      model: run.model,
      status,
      attempts: workedAttempts(run),
      error: run.error === null ? null : RunError.parse(run.error),
      usage: Usage.parse(run.usage),
      costUsd,
      createdAt: run.created_at,
      completedAt,
      requests,
      messages: facts.messages,
      steps: facts.steps.map((step) => ({
        step: step.step,
        attempt: step.attempt,
        model: step.model,
        finishReason: step.finish_reason,
        usage: Usage.parse(step.usage),
        costUsd: canonicalUsd(step.cost_usd),
        startedAt: step.started_at,
      })),
      toolCalls: facts.toolCalls.map((call) => ({
        id: call.call_id,
        step: call.step,
        attempt: call.attempt,
        name: call.name,
        arguments: argumentsToRun(call, approvals.get(call.call_id)),
        effect: call.effect,
        state: call.state,
        result: call.result,
        isError: call.is_error,
        // One that waited for people and was never begun ended when its run did.
        startedAt: call.started_at ?? call.ended_at ?? facts.run.created_at,
        endedAt: call.ended_at,
      })),
      summaries: facts.summaries.map((summary) => ({
        id: summary.id,
        step: summary.step,
        attempt: summary.attempt,
        model: summary.model,
        text: summary.text,
        usage: Usage.parse(summary.usage),
        costUsd: canonicalUsd(summary.cost_usd),
        tokensBefore: summary.tokens_before,
        tokensAfter: summary.tokens_after,
        createdAt: summary.created_at,
      })),
      waits: facts.waits.map((wait) => ({
        attempt: wait.attempt,
        reason: wait.reason,
        beganAt: wait.began_at,
        endedAt: wait.ended_at,
      })),
    };
  });
