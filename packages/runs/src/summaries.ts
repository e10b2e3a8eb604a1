import { canonicalUsd, type UnplacedEvent, Usage } from "@cortex/contracts";
import { type DB, jsonText, type Tx } from "@cortex/db";
import { type Selectable, sql } from "kysely";
import type { ContextCompacted } from "./engine-events.ts";
import type { Fence } from "./progress.ts";
import type { RunRow } from "./run.ts";
import type { RunWriter } from "./run-writer.ts";
import { noProgress } from "./progress.ts";

export type SummaryRow = Selectable<DB["context_summaries"]>;
type Compacted = Extract<UnplacedEvent, { type: "context.compacted" }>;

/** A stored summary, as its run's log says it. */
export const summaryEvent = (
  row: SummaryRow,
  place: { run_id: Compacted["run_id"]; at: string; attempt: number },
): Compacted => ({
  type: "context.compacted",
  ...place,
  step: row.step,
  summary_id: row.id as Compacted["summary_id"],
  summary: row.text,
  through_seq: row.through_seq,
  tokens_before: row.tokens_before,
  tokens_after: row.tokens_after,
  model: row.model,
  usage: Usage.parse(row.usage),
  cost_usd: canonicalUsd(row.cost_usd),
});

/**
 * Stores a summary beside the messages, which stay as they are. Called inside the fenced write of an attempt; done again, it changes nothing.
 *
 * The engine knows messages by their ids: `through_seq` is found behind the first one that is still sent. What a user posted while that one was
 * being written has a lower seq and is still sent too, hence `kept_seqs`.
 */
const insertSummary = async (tx: Tx, fence: Fence, step: number, event: ContextCompacted): Promise<SummaryRow> => {
  const { summary } = event;
  const result = await sql<SummaryRow>`
    with boundary as (
      select seq - 1 as through_seq from cortex.messages where id = ${event.before} and thread_id = ${fence.threadId} and seq > 0
    ), written as (
      insert into cortex.context_summaries (id, account_id, thread_id, run_id, attempt, step, through_seq, kept_seqs, text, tainted,
        tokens_before, tokens_after, model, usage, cost_usd)
      select ${summary.id}, ${fence.accountId}, ${fence.threadId}, ${fence.runId}, ${fence.attempt}, ${step}, boundary.through_seq,
        coalesce((select array_agg(kept.seq order by kept.seq) from cortex.messages kept
          where kept.id = any(${[...event.keptUserMessages]}::uuid[]) and kept.thread_id = ${fence.threadId}
            and kept.seq <= boundary.through_seq), '{}'),
        ${summary.text}, ${event.tainted}, ${event.tokens_before}, ${event.tokens_after}, ${event.model},
        ${jsonText(event.usage)}::jsonb, ${event.cost_usd}::numeric
      from boundary
      on conflict (id) do nothing
      returning *
    )
    select * from written union all select * from cortex.context_summaries where id = ${summary.id}`.execute(tx);
  const [row] = result.rows;
  if (!row) throw new Error(`a summary stands before a message that this thread does not have: ${event.before}`);
  return row;
};

/**
 * Stores what the engine has summarised, with its price, as one write of the attempt.
 * @returns the event that says so
 */
export const storeSummary = async (writer: RunWriter, run: RunRow, event: ContextCompacted): Promise<Compacted> => {
  const fence = { runId: run.id, attempt: run.attempt, accountId: run.account_id, threadId: run.thread_id };
  const { id } = event.summary;
  let through = 0;
  writer.spend(event);
  await writer.write(noProgress, { step: event.step, costUsd: event.cost_usd, summary: id }, async (tx) => {
    through = (await insertSummary(tx, fence, event.step, event)).through_seq;
  });
  const { step, tokens_before, tokens_after, model, usage, cost_usd } = event;
  return {
    type: "context.compacted",
    ...writer.base(),
    step,
    summary_id: id as Compacted["summary_id"],
    summary: event.summary.text,
    through_seq: through,
    tokens_before,
    tokens_after,
    model,
    usage,
    cost_usd,
  };
};
