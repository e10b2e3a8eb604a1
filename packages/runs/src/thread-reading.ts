import type { Message } from "@cortex/contracts";
import { asAccount, type DB, type Db, type Tx } from "@cortex/db";
import { type Selectable, sql } from "kysely";
import type { RunRow } from "./run.ts";
import { toMessage } from "./run-facts.ts";

/** What stands for the older messages of a thread. */
export interface ThreadSummary {
  id: string;
  text: string;
  /** The last message that it may stand for. */
  throughSeq: number;
  /** A stranger may have written parts of what it was made from. */
  tainted: boolean;
  /** The run that wrote it. */
  runId: string;
}

type Stored = Selectable<DB["messages"]>;

interface SummaryColumns {
  summary_id: string | null;
  summary_text: string;
  summary_through: number;
  summary_tainted: boolean;
  summary_run: string;
}

/**
 * A thread as the model gets it, by seq: its newest summary, and the messages that this does not stand for. One statement, two indexed reads; of a
 * thread with a summary it reads what came after it and the few messages that stay word for word, however long the thread is. (The bound of seq is a plain subquery: an expression around it is no condition for an index under row-level security.)
 */
export const readThread = async (
  tx: Tx,
  { thread_id: threadId }: Pick<RunRow, "thread_id">,
): Promise<{ summary: ThreadSummary | null; messages: Message[] }> => {
  const { rows } = await sql<SummaryColumns & (Stored | { id: null })>`
    with newest as materialized (
      select * from cortex.context_summaries where thread_id = ${threadId} order by through_seq desc, created_at desc limit 1
    ), sent as (
      select * from cortex.messages
      where thread_id = ${threadId} and seq > (select coalesce(max(through_seq), -1) from newest)
      union all
      select * from cortex.messages where thread_id = ${threadId} and seq = any((select kept_seqs from newest)::int[])
    )
    select sent.*, newest.id as summary_id, newest.text as summary_text, newest.through_seq as summary_through,
      newest.tainted as summary_tainted, newest.run_id as summary_run
    from (select true) as always left join newest on true left join sent on true
    order by sent.seq`.execute(tx);
  return { summary: summaryOf(rows[0]), messages: rows.flatMap((row) => (row.id === null ? [] : [toMessage(row)])) };
};

const summaryOf = (row: SummaryColumns | undefined): ThreadSummary | null =>
  row === undefined || row.summary_id === null
    ? null
    : {
        id: row.summary_id,
        text: row.summary_text,
        throughSeq: row.summary_through,
        tainted: row.summary_tainted,
        runId: row.summary_run,
      };

const uuid = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

/**
 * A message of a thread by its id, or the result of a tool call by the call's, the newest if the id was used again. Null: the thread has none such,
 * whatever other threads have. One indexed read.
 */
export const readStoredMessage = (
  db: Db,
  input: { accountId: string; threadId: string; id: string },
): Promise<Message | null> =>
  asAccount(db, { accountId: input.accountId, reads: true }, async (tx) => {
    const messages = tx.selectFrom("messages").selectAll().where("thread_id", "=", input.threadId);
    const result = await messages
      .where("tool_call_id", "=", input.id)
      .orderBy("seq", "desc")
      .limit(1)
      .executeTakeFirst();
    if (result) return toMessage(result);
    const row = uuid.test(input.id) ? await messages.where("id", "=", input.id).executeTakeFirst() : undefined;
    return row ? toMessage(row) : null;
  });
