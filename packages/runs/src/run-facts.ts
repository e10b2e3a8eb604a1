import { type Message, Metadata, MessagePart, ToolCallRequest } from "@cortex/contracts";
import type { DB, Tx } from "@cortex/db";
import { type Selectable, sql } from "kysely";
import { z } from "zod";
import type { RunFacts } from "./durable-events.ts";
import type { RunRow } from "./run.ts";

const Content = z.array(MessagePart);
const ToolCalls = z.array(ToolCallRequest);

/** A stored message as it stands on the wire. */
export const toMessage = (row: Selectable<DB["messages"]>): Message => ({
  id: row.id as Message["id"],
  thread_id: row.thread_id as Message["thread_id"],
  run_id: row.run_id as Message["run_id"],
  seq: row.seq,
  role: row.role,
  status: row.status,
  content: Content.parse(row.content),
  ...(row.tool_calls === null ? {} : { tool_calls: ToolCalls.parse(row.tool_calls) }),
  ...(row.tool_call_id === null ? {} : { tool_call_id: row.tool_call_id }),
  metadata: Metadata.parse(row.metadata),
  created_at: row.created_at.toISOString(),
});

/** Dates come as text out of a JSON aggregate. */
const date = (value: unknown): Date => new Date(String(value));
const maybeDate = (value: unknown): Date | null => (value === null ? null : date(value));

type Aggregated<Table extends keyof DB> = Selectable<DB[Table]>;

interface FactsRow extends RunRow {
  fact_messages: Aggregated<"messages">[];
  fact_steps: Aggregated<"run_steps">[];
  fact_tool_calls: Aggregated<"tool_calls">[];
  fact_waits: Aggregated<"run_waits">[];
  fact_approvals: Aggregated<"tool_approvals">[];
  fact_summaries: Aggregated<"context_summaries">[];
}

/**
 * Everything that the durable events of a run are derived from; null if there is no such run. One statement, hence of one moment: a step that
 * is committed meanwhile is in it wholly or not at all.
 */
export const runFacts = async (tx: Tx, input: { runId: string }): Promise<RunFacts | null> => {
  const found = await sql<FactsRow>`
    select agent_runs.*,
      (select coalesce(jsonb_agg(to_jsonb(m) order by m.seq), '[]') from cortex.messages m where m.run_id = agent_runs.id) as fact_messages,
      (select coalesce(jsonb_agg(to_jsonb(s) || jsonb_build_object('cost_usd', s.cost_usd::text) order by s.step), '[]')
        from cortex.run_steps s where s.run_id = agent_runs.id) as fact_steps,
      (select coalesce(jsonb_agg(to_jsonb(c) order by c.step, c.position), '[]')
        from cortex.tool_calls c where c.run_id = agent_runs.id) as fact_tool_calls,
      (select coalesce(jsonb_agg(to_jsonb(w) order by w.attempt), '[]') from cortex.run_waits w where w.run_id = agent_runs.id) as fact_waits,
      (select coalesce(jsonb_agg(to_jsonb(a)), '[]') from cortex.tool_approvals a where a.run_id = agent_runs.id) as fact_approvals,
      (select coalesce(jsonb_agg(to_jsonb(s) || jsonb_build_object('cost_usd', s.cost_usd::text) order by s.created_at), '[]')
        from cortex.context_summaries s where s.run_id = agent_runs.id) as fact_summaries
    from cortex.agent_runs where id = ${input.runId}`.execute(tx);
  const [row] = found.rows;
  if (!row) return null;
  const { fact_messages, fact_steps, fact_tool_calls, fact_waits, fact_approvals, fact_summaries, ...run } = row;
  return {
    run,
    messages: fact_messages.map((message) => ({
      step: message.step,
      message: toMessage({ ...message, created_at: date(message.created_at) }),
    })),
    steps: fact_steps.map((step) => ({
      ...step,
      started_at: date(step.started_at),
      ended_at: maybeDate(step.ended_at),
    })),
    toolCalls: fact_tool_calls.map((call) => ({
      ...call,
      started_at: maybeDate(call.started_at),
      ended_at: maybeDate(call.ended_at),
    })),
    waits: fact_waits.map((wait) => ({
      ...wait,
      began_at: date(wait.began_at),
      resume_at: maybeDate(wait.resume_at),
      expires_at: maybeDate(wait.expires_at),
      deadline_at: maybeDate(wait.deadline_at),
      ended_at: maybeDate(wait.ended_at),
    })),
    approvals: fact_approvals.map((approval) => ({ ...approval, decided_at: maybeDate(approval.decided_at) })),
    summaries: fact_summaries.map((summary) => ({ ...summary, created_at: date(summary.created_at) })),
  };
};
