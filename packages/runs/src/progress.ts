import { jsonText, type Tx } from "@cortex/db";
import {
  type MessagePart,
  type RunError,
  type StopReceipt,
  type TerminalRunStatus,
  textParts,
  type ToolCallRequest,
  type ToolEffect,
  type Usage,
} from "@cortex/contracts";
import { isSwitchedOff } from "@cortex/failpoints";
import { sql } from "kysely";

/** Whose write it is. It counts only while the run is running and this is its attempt. */
export interface Fence {
  runId: string;
  attempt: number;
  accountId: string;
  threadId: string;
}

export interface NewMessage {
  id: string;
  step: number;
  role: "assistant" | "tool";
  status: "complete" | "interrupted";
  text: string;
  /** Pictures, base64. */
  images: readonly { mediaType: string; data: string }[];
  toolCalls: readonly ToolCallRequest[];
  toolCallId: string | null;
}

export const contentOf = ({ text, images }: Pick<NewMessage, "text" | "images">): MessagePart[] => [
  ...textParts(text),
  ...images.map(({ mediaType, data }): MessagePart => ({
    type: "image",
    url: `data:${mediaType};base64,${data}`,
    media_type: mediaType,
  })),
];

export interface StepWrite {
  step: number;
  model: string;
  finishReason: string;
  usage: Usage;
  costUsd: string;
  durationMs: number;
  /** The model was asked with the thread's messages below this seq; what people posted from there on it has not seen. */
  seenSeq: number;
  ended: boolean;
}

export interface ClaimWrite {
  callId: string;
  step: number;
  position: number;
  name: string;
  arguments: unknown;
  effect: ToolEffect;
  /** `started`: it may act. The others wait for people: `awaiting` for a decision about them, `released` for one about a neighbour. */
  state: "started" | "awaiting" | "released";
}

export interface SettleWrite {
  callId: string;
  state: "done" | "failed" | "unknown";
  result: string;
  isError: boolean;
  durationMs: number;
}

export interface EndWrite {
  status: TerminalRunStatus;
  error: RunError | null;
  receipt: StopReceipt | null;
  /** End only if nobody has posted since: the thread's next seq as this worker knows it. Null: end in any case. */
  ifNextSeq: number | null;
}

/** Everything that one transaction of a worker may write about its run. */
export interface Progress {
  /** Names this write. The run remembers its last one, so that a write whose answer was lost is not done twice. */
  writeId: string;
  messages: readonly NewMessage[];
  step: StepWrite | null;
  /** Tool calls about to act. */
  claims: readonly ClaimWrite[];
  /** Tool calls that have acted. */
  settles: readonly SettleWrite[];
  /** Sums over the whole run, absolute, so that writing them twice changes nothing. */
  totals: { usage: Usage; costUsd: string };
  end: EndWrite | null;
}

export const noProgress: Omit<Progress, "totals" | "writeId"> = {
  messages: [],
  step: null,
  claims: [],
  settles: [],
  end: null,
};

export interface Written {
  /** Null: fenced, or done before, or (with `ifNextSeq`) somebody has posted; the caller must roll back. See own-write.ts. */
  fence: { attempt: number; stopRequestedAt: Date | null; reservedUsd: string; completedAt: Date | null } | null;
  /** The thread's next seq after this write. */
  nextSeq: number;
  /** The clock of the write, as it stands in the rows. */
  at: Date;
  /** Grows with every change of what the account's tools are. */
  toolsVersion: number;
}

/**
 * One step's worth of a run's life in one statement, conditional on the fence: the thread row is locked first (it hands out the seq of
 * messages), then the run row decides. Called inside `asAccount`; a caller that gets no fence back throws, so that nothing stays.
 *
 * One statement because it stands between the model's answer and the next thing that happens: each further one is a round trip.
 */
export const writeProgress = async (tx: Tx, fence: Fence, progress: Progress): Promise<Written> => {
  const { end, step, totals } = progress;
  const ours = isSwitchedOff("fence") ? sql`true` : sql`attempt = ${fence.attempt}`;
  const messages = progress.messages.map((message, ordinal) => ({
    id: message.id,
    ordinal,
    step: message.step,
    role: message.role,
    status: message.status,
    content: contentOf(message),
    tool_calls: message.toolCalls.length > 0 ? message.toolCalls : null,
    tool_call_id: message.toolCallId,
  }));
  const result = await sql<{
    next_seq: number;
    at: Date;
    tools_version: number;
    attempt: number | null;
    stop_requested_at: Date | null;
    reserved_usd: string | null;
    completed_at: Date | null;
  }>`
    with thread as (
      update cortex.threads set next_seq = next_seq + ${messages.length}, updated_at = now()
      where id = ${fence.threadId}
      returning next_seq, now() as at
    ), fenced as (
      update cortex.agent_runs set
        last_write_id = ${progress.writeId},
        usage = ${jsonText(totals.usage)}::jsonb,
        cost_usd = ${totals.costUsd}::numeric,
        attempts_since_step = case when ${step !== null} then 0 else attempts_since_step end,
        status = coalesce(${end?.status ?? null}::text, status),
        attempt = attempt + case when ${end !== null} then 1 else 0 end,
        error = coalesce(${end?.error ? jsonText(end.error) : null}::jsonb, error),
        stop_receipt = coalesce(${end?.receipt ? jsonText(end.receipt) : null}::jsonb, stop_receipt)
      from thread
      where agent_runs.id = ${fence.runId} and ${ours} and status = 'running'
        and last_write_id is distinct from ${progress.writeId}
        and coalesce(thread.next_seq = ${end?.ifNextSeq ?? null}::int + ${messages.length}, true)
      returning agent_runs.id, attempt, stop_requested_at, reserved_usd, completed_at
    ), written_messages as (
      insert into cortex.messages (id, account_id, thread_id, run_id, step, seq, role, status, content, tool_calls, tool_call_id, created_at)
      select m.id, ${fence.accountId}, ${fence.threadId}, fenced.id, m.step, thread.next_seq - ${messages.length} + m.ordinal,
        m.role, m.status, m.content, m.tool_calls, m.tool_call_id, thread.at
      from fenced, thread, jsonb_to_recordset(${jsonText(messages)}::jsonb) as m(
        id uuid, ordinal int, step int, role text, status text, content jsonb, tool_calls jsonb, tool_call_id text)
    ), written_step as (
      insert into cortex.run_steps (run_id, step, account_id, attempt, model, finish_reason, usage, cost_usd, duration_ms, seen_seq,
        started_at, ended_at)
      select fenced.id, s.step, ${fence.accountId}, ${fence.attempt}, s.model, s."finishReason", s.usage, s."costUsd", s."durationMs", s."seenSeq",
        clock_timestamp() - s."durationMs" * interval '1 millisecond', case when s.ended then clock_timestamp() end
      from fenced, jsonb_to_recordset(${jsonText(step ? [step] : [])}::jsonb) as s(
        step int, model text, "finishReason" text, usage jsonb, "costUsd" numeric, "durationMs" int, "seenSeq" int, ended boolean)
      on conflict (run_id, step) do update set ended_at = excluded.ended_at, duration_ms = excluded.duration_ms
    ), claimed_calls as (
      insert into cortex.tool_calls (run_id, call_id, account_id, step, position, name, arguments, effect, state, attempt, started_at)
      select fenced.id, c."callId", ${fence.accountId}, c.step, c.position, c.name, c.arguments, c.effect, c.state, ${fence.attempt},
        case when c.state = 'started' then now() end
      from fenced, jsonb_to_recordset(${jsonText(progress.claims)}::jsonb) as c(
        "callId" text, step int, position int, name text, arguments jsonb, effect text, state text)
    ), settled_calls as (
      update cortex.tool_calls set state = s.state, result = s.result, is_error = s."isError", duration_ms = s."durationMs",
        -- One time for all of them: see inCallOrder.
        ended_at = statement_timestamp(), attempt = ${fence.attempt}
      from fenced, jsonb_to_recordset(${jsonText(progress.settles)}::jsonb) as s(
        "callId" text, state text, result text, "isError" boolean, "durationMs" int)
      where tool_calls.run_id = fenced.id and tool_calls.call_id = s."callId" and tool_calls.ended_at is null
    )
    select thread.next_seq, thread.at, (select tools_version from cortex.accounts where id = ${fence.accountId}) as tools_version, fenced.attempt, fenced.stop_requested_at, fenced.reserved_usd, fenced.completed_at
    from thread left join fenced on true`.execute(tx);
  const [row] = result.rows;
  if (!row) return { fence: null, nextSeq: 0, at: new Date(0), toolsVersion: 0 };
  return {
    fence:
      row.attempt === null
        ? null
        : {
            attempt: row.attempt,
            stopRequestedAt: row.stop_requested_at,
            reservedUsd: row.reserved_usd ?? "0",
            completedAt: row.completed_at,
          },
    nextSeq: row.next_seq,
    at: row.at,
    toolsVersion: row.tools_version,
  };
};
