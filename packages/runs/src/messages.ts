import { callerRole, requireRole } from "@cortex/accounts";
import {
  type AccountRole,
  type CreateMessage,
  type ListQuery,
  type Message,
  type MessagePart,
  type Page,
  textParts,
} from "@cortex/contracts";
import { type DB, jsonText, type Tx } from "@cortex/db";
import { type Selectable, sql } from "kysely";
import { readSeq, seqCursor } from "./list-page.ts";
import { toMessage } from "./run-facts.ts";

type MessageRow = Selectable<DB["messages"]>;

const partsOf = (content: CreateMessage["content"]): MessagePart[] =>
  typeof content === "string" ? textParts(content) : content;

/**
 * Posts a user message, under the lock of the thread's row, which hands out `seq` without gaps. Also while a run is active: the run takes
 * it up at its next step. One statement.
 * @returns null if there is no such thread, or its project is deleted. Error: `forbidden`
 */
export const postMessage = async (tx: Tx, input: { threadId: string } & CreateMessage): Promise<Message | null> => {
  const { threadId, content, metadata } = input;
  const result = await sql<{ acting_role: AccountRole | null } & ({ id: null } | MessageRow)>`
    with target as (
      select threads.id, ${callerRole("threads.account_id")} as role
      from cortex.threads join cortex.projects on projects.id = threads.project_id and projects.deleted_at is null
      where threads.id = ${threadId}
    ), place as (
      update cortex.threads set next_seq = next_seq + 1, updated_at = now()
      from target where threads.id = target.id and target.role <> 'viewer'
      returning threads.id, threads.account_id, next_seq - 1 as seq
    ), posted as (
      insert into cortex.messages (account_id, thread_id, seq, role, content, metadata)
      select place.account_id, place.id, place.seq, 'user', ${jsonText(partsOf(content))}::jsonb, ${jsonText(metadata)}::jsonb
      from place
      returning *
    )
    select target.role as acting_role, posted.* from target left join posted on true`.execute(tx);
  const [row] = result.rows;
  if (!row) return null;
  requireRole(row.acting_role, "member");
  return row.id === null ? null : toMessage(row);
};

/** The messages of a thread, oldest first. Null: no such thread, or its project is deleted. Error: `invalid_cursor`. */
export const listMessages = async (tx: Tx, input: { threadId: string } & ListQuery): Promise<Page<Message> | null> => {
  const { threadId, limit, cursor } = input;
  const result = await sql<MessageRow | { id: null }>`
    select listed.*
    from (
      select threads.id from cortex.threads
      join cortex.projects on projects.id = threads.project_id and projects.deleted_at is null
      where threads.id = ${threadId}
    ) thread left join lateral (
      select messages.* from cortex.messages
      where messages.thread_id = thread.id and messages.seq > ${readSeq(cursor)}
      order by messages.seq
      limit ${limit + 1}
    ) listed on true
    order by listed.seq`.execute(tx);
  if (result.rows.length === 0) return null;
  const rows = result.rows.filter((row) => row.id !== null);
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return { data: shown.map(toMessage), next_cursor: last === undefined ? null : seqCursor(last.seq) };
};

/** One message of a thread; null if there is none such, or the thread's project is deleted. */
export const getMessage = async (tx: Tx, input: { threadId: string; messageId: string }): Promise<Message | null> => {
  const row = await tx
    .selectFrom("messages")
    .innerJoin("threads", "threads.id", "messages.thread_id")
    .innerJoin("projects", "projects.id", "threads.project_id")
    .selectAll("messages")
    .where("messages.id", "=", input.messageId)
    .where("messages.thread_id", "=", input.threadId)
    .where("projects.deleted_at", "is", null)
    .executeTakeFirst();
  return row ? toMessage(row) : null;
};
