import type {
  EffectState,
  EventPayload,
  KilledCommand,
  OpenApproval,
  RunErrorCode,
  ToolCallRequest,
  ToolEffect,
  Usage,
  Usd,
} from "@cortex/contracts";

type Payload<Type extends EventPayload["type"]> = Extract<EventPayload, { type: Type }>;

export interface ToolCallCompleted extends Payload<"tool_call.completed"> {
  /** Pictures of the result: part of its message, and of no live log. */
  images?: readonly { mediaType: string; data: string }[];
}
export type StepCompleted = Payload<"step.completed">;

/** An answer of the model, whole or cut short. */
export interface EngineAnswer {
  /** Becomes the message's id. */
  id: Payload<"message.delta">["message_id"];
  text: string;
  tool_calls: readonly ToolCallRequest[];
  status: "complete" | "interrupted";
}

export interface ModelCompleted {
  type: "model.completed";
  step: number;
  /** Who answered. */
  model: string;
  message: EngineAnswer;
  /**
   * One per tool call, in the same order: what repeating it would do, and whether a person decides first, about it (`approval`) or about one of
   * its neighbours (`others`). Then the engine ends with `waiting`, and none of them acts.
   */
  claims: readonly { tool_call_id: string; name: string; effect: ToolEffect; awaits?: "approval" | "others" }[];
  usage: Usage;
  cost_usd: Usd;
  finish_reason: string;
  duration_ms: number;
}

/** The older part of the conversation is a summary from now on. */
export interface ContextCompacted {
  type: "context.compacted";
  step: number;
  summary: { id: string; text: string };
  /** The message behind the summarised part. */
  before: string;
  /** Messages of users that are still sent word for word, wherever they stand. */
  keptUserMessages: readonly string[];
  tainted: boolean;
  tokens_before: number;
  tokens_after: number;
  model: string;
  usage: Usage;
  cost_usd: Usd;
}

/**
 * What an engine yields, as far as recording it is concerned. This room must not know the engine, so the shape stands here and the
 * worker's compiler checks that agentpress (or another framework) fits.
 *
 * Yielding is a barrier: the engine goes on only when the event was recorded. `model.completed` comes before any of its tools acts.
 */
export type EngineEvent =
  | Payload<
      | "step.started"
      | "message.delta"
      | "reasoning.delta"
      | "message.discarded"
      | "tool_call.delta"
      | "tool_call.started"
      | "tool_call.output"
    >
  | ToolCallCompleted
  | StepCompleted
  | ModelCompleted
  | ContextCompacted;

export interface UnfinishedCall {
  tool_call_id: string;
  name: string;
  result: string;
  effect_state: EffectState;
}

/** The provider lets nobody through for now: the run may go on later with the same step. Nothing of that step is stored. */
export interface ProviderWait {
  kind: "waiting";
  reason: "provider_limit";
  /** What the run fails with if it cannot wait, and the words for it. */
  code: RunErrorCode;
  message: string;
  /** What the provider asks for; null: it does not say. */
  retryAfterMs: number | null;
  /** Spent on answers that broke off. */
  unreported: { usage: Usage; cost_usd: Usd };
}

/** Calls of the last answer need a person. The answer is stored, and none of its calls has begun. */
export interface ApprovalWait {
  kind: "waiting";
  reason: "approval";
  approvals: readonly OpenApproval[];
  unreported: { usage: Usage; cost_usd: Usd };
}

/** The run may go on later, in another attempt. */
export type EngineWait = ProviderWait | ApprovalWait;

/** How the engine ended. */
export type EngineOutcome = {
  /** Spent on answers that no `model.completed` carried. */
  unreported: { usage: Usage; cost_usd: Usd };
} & (
  | { kind: "completed" }
  | { kind: "failed"; code: RunErrorCode; message: string; retryable: boolean; interrupted: EngineAnswer | null }
  | {
      kind: "aborted";
      interrupted: EngineAnswer | null;
      /** Calls of the last answer that have no result, and what to settle them with if nobody will run them again. */
      unfinished: readonly UnfinishedCall[];
      /** What was under way, for the receipt of a stop. */
      aborted: readonly string[];
      /** What was ended in the sandbox, for the same. */
      killed: readonly KilledCommand[];
    }
);
