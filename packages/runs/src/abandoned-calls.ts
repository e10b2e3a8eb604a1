import { textParts } from "@cortex/contracts";
import { jsonText, type Tx } from "@cortex/db";
import { sql } from "kysely";

/** Locks the thread of a run that is about to be ended: like every write, first the thread, then the run. */
export const lockThread = async (tx: Tx, input: { threadId: string }): Promise<void> => {
  await sql`select 1 from cortex.threads where id = ${input.threadId} for update`.execute(tx);
};

/**
 * Settles the calls that were under way when the worker of a run was lost, and gives every call of its open step its result message, as
 * any other end does: the thread's next run must read what the tools have done. For a run that was just ended, its thread locked.
 */
export const settleAbandonedCalls = async (tx: Tx, run: { id: string; thread_id: string }): Promise<void> => {
  await sql`
    update cortex.tool_calls set
      state = case when effect = 'once' and state = 'started' then 'unknown' else 'failed' end,
      result = case
        when effect = 'once' and state = 'started'
          then 'The worker was lost during this call. It is not known whether it took effect; look before you repeat it.'
        when started_at is null then 'The call was not started because the run was ended.'
        else 'The worker was lost before this call was done.' end,
      is_error = true,
      -- Of the last attempt that worked (ending the run has raised the number once more): the log may have told of it, and never goes back.
      attempt = greatest(attempt, (select agent_runs.attempt - 1 from cortex.agent_runs where id = ${run.id})),
      ended_at = clock_timestamp()
    where run_id = ${run.id} and ended_at is null`.execute(tx);
  await writeResults(tx, run);
};

/** The same for a run that was ended while it waited for people: none of its calls has begun. */
export const settleCallsNotBegun = async (tx: Tx, run: { id: string; thread_id: string }): Promise<void> => {
  await sql`select cortex.settle_calls_not_begun(${run.id}, 'The call was not started because the run was ended.')`.execute(
    tx,
  );
  await writeResults(tx, run);
};

const writeResults = async (tx: Tx, run: { id: string; thread_id: string }): Promise<void> => {
  const calls = await tx
    .selectFrom("run_steps")
    .innerJoin("tool_calls", (join) =>
      join.onRef("tool_calls.run_id", "=", "run_steps.run_id").onRef("tool_calls.step", "=", "run_steps.step"),
    )
    .select(["tool_calls.call_id", "tool_calls.step", "tool_calls.account_id", "tool_calls.result"])
    .where("run_steps.run_id", "=", run.id)
    // A step writes its results when it ends.
    .where("run_steps.ended_at", "is", null)
    .orderBy("tool_calls.step")
    .orderBy("tool_calls.position")
    .execute();
  const [first] = calls;
  if (!first) return;
  const messages = calls.map((call, ordinal) => ({ ...call, ordinal, content: textParts(call.result ?? "") }));
  await sql`
    with thread as (
      update cortex.threads set next_seq = next_seq + ${messages.length}, updated_at = now()
      where id = ${run.thread_id}
      returning next_seq
    )
    insert into cortex.messages (account_id, thread_id, run_id, step, seq, role, status, content, tool_call_id)
    select ${first.account_id}, ${run.thread_id}, ${run.id}, m.step, thread.next_seq - ${messages.length} + m.ordinal,
      'tool', 'complete', m.content, m.call_id
    from thread, jsonb_to_recordset(${jsonText(messages)}::jsonb) as m(step int, ordinal int, content jsonb, call_id text)`.execute(
    tx,
  );
};
