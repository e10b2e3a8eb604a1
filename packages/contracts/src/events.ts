import { z } from "zod";
import { DecidedApproval, OpenApproval } from "./approvals.ts";
import { AgentVersionId, MessageId, RunId, SummaryId } from "./ids.ts";
import { RunError, StopReceipt } from "./runs.ts";
import { Message } from "./threads.ts";
import { EffectState } from "./tools.ts";
import { Json, Timestamp, Usage, Usd } from "./values.ts";

/**
 * One entry of a run's live log. The place in the log is `(epoch, seq)`; `seq` is the index in the Redis list. The payloads below
 * say what happened; `seq`, `run_id`, `at`, `attempt` say where, whose, when and by which attempt.
 */
const place = {
  seq: z.int().nonnegative(),
  run_id: RunId,
  at: Timestamp,
  attempt: z.int().nonnegative(),
};

const event = <Type extends string, Shape extends z.ZodRawShape>(type: Type, payload: Shape) =>
  z.object({ type: z.literal(type), ...place, ...payload });

const totals = { usage: Usage, cost_usd: Usd };

export const RunEvent = z
  .discriminatedUnion("type", [
    event("run.queued", { position: z.int().nonnegative().optional() }),
    event("run.started", { model: z.string(), agent_version_id: AgentVersionId }),
    event("attempt.started", {}),
    // The run's model. Who answered, which may be one of the agent's fallbacks, is known when the step has ended.
    event("step.started", { step: z.int().nonnegative(), model: z.string() }),
    event("step.completed", {
      step: z.int().nonnegative(),
      model: z.string(),
      usage: Usage,
      cost_usd: Usd,
      duration_ms: z.number().nonnegative(),
    }),
    event("context.compacted", {
      step: z.int().nonnegative(),
      summary_id: SummaryId,
      /** What the model reads in the place of the older messages from now on. The messages themselves stay as they are. */
      summary: z.string(),
      /** The last message of the thread that the summary may stand for. */
      through_seq: z.int().nonnegative(),
      /** Estimates of the prompt's size. */
      tokens_before: z.int().nonnegative(),
      tokens_after: z.int().nonnegative(),
      model: z.string(),
      /** Of the summary's own model call; the run's totals include it, those of its steps do not. */
      usage: Usage,
      cost_usd: Usd,
    }),
    event("message.delta", { message_id: MessageId, text: z.string() }),
    event("reasoning.delta", { message_id: MessageId, text: z.string() }),
    event("message.completed", { message: Message }),
    event("message.discarded", { message_id: MessageId, reason: z.string() }),
    event("tool_call.delta", { tool_call_id: z.string(), name: z.string(), arguments_delta: z.string() }),
    event("tool_call.started", { tool_call_id: z.string(), name: z.string(), arguments: Json }),
    event("tool_call.output", { tool_call_id: z.string(), chunk: z.string() }),
    event("tool_call.completed", {
      tool_call_id: z.string(),
      name: z.string(),
      result: z.string(),
      is_error: z.boolean(),
      effect_state: EffectState,
      duration_ms: z.number().nonnegative(),
    }),
    event("run.waiting", {
      reason: z.string(),
      resume_at: Timestamp.optional(),
      // Of `approval`: the calls that wait for a person, and until when.
      approvals: z.array(OpenApproval).optional(),
      expires_at: Timestamp.optional(),
    }),
    event("run.resumed", { reason: z.string(), decisions: z.array(DecidedApproval).optional() }),
    event("run.completed", totals),
    event("run.failed", { ...totals, error: RunError }),
    event("run.stopped", { ...totals, receipt: StopReceipt }),
    event("log.truncated", {}),
    event("resync", {}),
  ])
  .meta({ id: "RunEvent" });
export type RunEvent = z.infer<typeof RunEvent>;
export type RunEventType = RunEvent["type"];

/** An event before it has its place in the log: whoever appends adds `seq`. */
export type UnplacedEvent = RunEvent extends infer Each ? (Each extends RunEvent ? Omit<Each, "seq"> : never) : never;

/** Only the payload: what the engine yields, knowing nothing of runs, attempts and clocks. */
export type EventPayload = RunEvent extends infer Each
  ? Each extends RunEvent
    ? Omit<Each, "seq" | "run_id" | "at" | "attempt">
    : never
  : never;

export type TerminalEventType = "run.completed" | "run.failed" | "run.stopped";

/** Is this the event that closes a log? */
export const isTerminalEvent = (event: { type: RunEventType }): boolean =>
  event.type === "run.completed" || event.type === "run.failed" || event.type === "run.stopped";

/** Previews: left out beyond the log's bound and absent from a rebuilt log. Everything else is durable. */
export const isPreviewEvent = (event: { type: RunEventType }): boolean =>
  event.type === "message.delta" ||
  event.type === "reasoning.delta" ||
  event.type === "tool_call.delta" ||
  event.type === "tool_call.output";

/** A place in the log as it stands in an SSE `id` field: `<epoch>.<seq>`. */
export interface Cursor {
  epoch: number;
  seq: number;
}

const cursorPattern = /^([1-9]\d{0,8})\.(0|[1-9]\d{0,8})$/;

/** Reads a cursor; null when it is malformed. */
export const parseCursor = (text: string): Cursor | null => {
  const match = cursorPattern.exec(text);
  return match ? { epoch: Number(match[1]), seq: Number(match[2]) } : null;
};

export const formatCursor = (cursor: Cursor): string => `${cursor.epoch}.${cursor.seq}`;
