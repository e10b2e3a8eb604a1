import type { ModelAbilities, Usage } from "@cortex/contracts";
import type { AgentMessage } from "./messages.ts";

/** A tool as a model gets to see it. */
export interface ToolDeclaration {
  name: string;
  description: string;
  /** JSON Schema of the arguments object. */
  parameters: Record<string, unknown>;
}

/** What a caller may tune. Everything left out is the endpoint's own default. */
export interface ModelParameters {
  temperature?: number | undefined;
  topP?: number | undefined;
  /** Tokens the model may write in one answer. */
  maxOutputTokens?: number | undefined;
  reasoningEffort?: "minimal" | "low" | "medium" | "high" | undefined;
}

export interface ModelRequest {
  /** The model's name at the endpoint, for instance `demo` or `openai/gpt-4.1`. */
  model: string;
  /** The system prompt. Empty: none is sent. */
  instructions: string;
  /** Well-formed: each assistant message with tool calls is followed by exactly their results (`context/history.ts`). */
  messages: readonly AgentMessage[];
  tools: readonly ToolDeclaration[];
  parameters: ModelParameters;
  /** `explicit`: what the provider should cache is marked in the request. Left out: nothing is. */
  promptCache?: ModelAbilities["prompt_cache"];
  /** Sent with the request, so that a call can be found again in the endpoint's own logs. */
  headers: Readonly<Record<string, string>>;
}

/**
 * Why an answer ended, by its meaning. `length`: cut by the output limit. `filtered`: held back by the provider's policy.
 * An answer without a finish is a broken one, whatever came before.
 */
export type FinishReason = "stop" | "tool_calls" | "length" | "filtered";

export type ModelEvent =
  | { type: "text"; text: string }
  | { type: "reasoning"; text: string }
  /** A piece of a call: `index` says of which; id and name stand in the first piece. */
  | {
      type: "tool_call";
      index: number;
      id: string | null;
      name: string | null;
      arguments: string;
      /** Why this call must not run, whatever its arguments look like: a sentence for the model. */
      problem?: string;
    }
  /** Of the whole answer so far; a later one replaces an earlier one. */
  | { type: "usage"; usage: Usage }
  | { type: "finish"; reason: FinishReason };

/**
 * Whatever answers: an endpoint, or a script in a test.
 *
 * `stream` makes one answer. It throws `ModelError`; it may try again by itself only while it has yielded nothing. When `signal` is
 * aborted it ends at once, by returning or by throwing, and lets go of its connection; so it does when the iteration is left early.
 */
export interface Model {
  /** Of the adapter, for logs. */
  readonly name: string;
  stream(request: ModelRequest, signal: AbortSignal): AsyncIterable<ModelEvent>;
}
