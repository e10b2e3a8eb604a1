import type { UnplacedEvent } from "@cortex/contracts";
import type { EngineAnswer, ModelCompleted } from "./engine-events.ts";
import type { NewMessage, StepWrite } from "./progress.ts";
import type { Charge, RunWriter } from "./run-writer.ts";

/** An answer of the model, whole or cut short, as a message of its thread. */
export const answerMessage = (step: number, answer: EngineAnswer): NewMessage => ({
  id: answer.id,
  step,
  role: "assistant",
  status: answer.status,
  text: answer.text,
  images: [],
  toolCalls: answer.tool_calls,
  toolCallId: null,
});

/** The step that an answer begins; it has ended as well if no tool call follows. */
export const answeredStep = (event: ModelCompleted, input: { seenSeq: number; ended: boolean }): StepWrite => ({
  step: event.step,
  model: event.model,
  finishReason: event.finish_reason,
  usage: event.usage,
  costUsd: event.cost_usd,
  durationMs: Math.round(event.duration_ms),
  ...input,
});

export const chargeOf = (event: ModelCompleted): Charge => ({ step: event.step, costUsd: event.cost_usd });

/** The event that ends a step without tool calls. */
export const answeredStepCompleted = (event: ModelCompleted, base: ReturnType<RunWriter["base"]>): UnplacedEvent => ({
  type: "step.completed",
  step: event.step,
  model: event.model,
  usage: event.usage,
  cost_usd: event.cost_usd,
  duration_ms: event.duration_ms,
  ...base,
});
