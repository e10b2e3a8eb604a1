import type { EventPayload, ToolCallRequest, ToolEffect, Usage, Usd } from "@cortex/contracts";
import type { ContextSummary } from "./agent.ts";
import type { ToolImage } from "./messages.ts";
import type { FinishReason } from "./model.ts";

type Payload<Type extends EventPayload["type"]> = Extract<EventPayload, { type: Type }>;

/** Payloads that go to the live log as they are. */
export type LiveEvent = Payload<
  | "step.started"
  | "step.completed"
  | "message.delta"
  | "reasoning.delta"
  | "message.discarded"
  | "tool_call.delta"
  | "tool_call.started"
  | "tool_call.output"
>;

export interface ToolCallCompleted extends Payload<"tool_call.completed"> {
  /** Pictures of the result: part of the message, and of no live log. */
  images?: readonly ToolImage[];
}

/** What must be claimed before any call of this answer acts. One per tool call, in the same order. */
export interface ToolClaim {
  tool_call_id: string;
  name: string;
  /** `pure` as well for a call that will not act: an unknown tool, arguments that do not fit. */
  effect: ToolEffect;
  /**
   * Left out: it acts next. `approval`: a person decides about it first. `others`: it needs nobody, but waits for the decision about its
   * neighbours. Either way the engine ends with `waiting`.
   */
  awaits?: "approval" | "others";
}

/** A whole answer of the model. What is in it is final; its deltas were a preview. */
export interface CompletedAnswer {
  /** The id under which its deltas went out. */
  id: Payload<"message.delta">["message_id"];
  text: string;
  tool_calls: ToolCallRequest[];
  /** `interrupted`: the output limit cut it; its text is kept and none of its tool calls will run. */
  status: "complete" | "interrupted";
}

/**
 * The barrier: the model has answered and nothing has acted on it. Whoever consumes it commits message, usage and claims in one
 * transaction and only then asks for the next event.
 */
export interface ModelCompleted {
  type: "model.completed";
  step: number;
  /** Who answered: the run's model, or one of its fallbacks. */
  model: string;
  message: CompletedAnswer;
  /** What the model thought aloud, empty if it did not. */
  reasoning: string;
  claims: ToolClaim[];
  /** Of this step's model calls together, discarded answers included. */
  usage: Usage;
  cost_usd: Usd;
  /** False: no price is known for the model that answered, and its cost of 0 means nothing. */
  priced: boolean;
  finish_reason: FinishReason;
  /** From the first request to the end of the answer. */
  duration_ms: number;
}

/**
 * The older part of the conversation is a summary from now on. Whoever consumes it commits it before the next event is asked for; a run that is
 * taken up again, and the next run of the conversation, begin with it (`AgentInput.summary`) and with the messages that it does not stand for.
 */
export interface ContextCompacted {
  type: "context.compacted";
  step: number;
  summary: ContextSummary;
  /** The id of the oldest message behind the summarised part: this one, and everything behind it, is still sent as it is. */
  before: string;
  /** The ids of all messages of users that are still sent as they are, wherever they stand. */
  keptUserMessages: string[];
  /** A stranger may have written parts of what was summarised, and so of the summary. */
  tainted: boolean;
  tokens_before: number;
  tokens_after: number;
  /** Who wrote it, and what that took. Not part of the step's own usage. */
  model: string;
  usage: Usage;
  cost_usd: Usd;
}

/**
 * What the engine yields, in this order per step: `step.started`, deltas (with `message.discarded` between tries),
 * `model.completed`, `tool_call.*`, `step.completed`. The engine does nothing further until the next event is asked for, except that
 * tool calls that are already running go on.
 */
export type AgentEvent = LiveEvent | ModelCompleted | ToolCallCompleted | ContextCompacted;
