import type { EventPayload, ToolCallRequest, ToolEffect, Usage, Usd } from "@cortex/contracts";
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
  | "tool_call.completed"
>;

export type ToolCallCompleted = Payload<"tool_call.completed">;

/** What must be claimed before any call of this answer acts. One per tool call, in the same order. */
export interface ToolClaim {
  tool_call_id: string;
  name: string;
  /** `pure` as well for a call that will not act: an unknown tool, arguments that do not fit. */
  effect: ToolEffect;
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
  message: CompletedAnswer;
  /** What the model thought aloud, empty if it did not. */
  reasoning: string;
  claims: ToolClaim[];
  /** Of this step's model calls together, discarded answers included. */
  usage: Usage;
  cost_usd: Usd;
  /** False: no price is known for this model, and the cost of 0 means nothing. */
  priced: boolean;
  finish_reason: FinishReason;
  /** From the first request to the end of the answer. */
  duration_ms: number;
}

/**
 * What the engine yields, in this order per step: `step.started`, deltas (with `message.discarded` between tries),
 * `model.completed`, `tool_call.*`, `step.completed`. The engine does nothing further until the next event is asked for, except that
 * tool calls that are already running go on.
 */
export type AgentEvent = LiveEvent | ModelCompleted;
