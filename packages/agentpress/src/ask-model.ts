import { setTimeout as delay } from "node:timers/promises";
import type { Usage } from "@cortex/contracts";
import type { InterruptedAnswer } from "./agent.ts";
import { Answer } from "./answer.ts";
import { estimateUsage } from "./context/tokens.ts";
import { asModelError, ModelError } from "./errors.ts";
import type { LiveEvent } from "./events.ts";
import type { FinishReason, Model, ModelRequest } from "./model.ts";

/** How often one step asks again after an answer that broke or was empty: three answers at most. */
const maxRetries = 2;

/** Full jitter below it: enough for a proxy that is restarting, short enough for a person who is watching. */
const retryDelayMs = 500;

export interface AskInput {
  request: ModelRequest;
  /** Ids of earlier tool calls of this conversation. */
  takenIds: ReadonlySet<string>;
  /** Called once for each request that was answered, wholly or in part. */
  spend: (usage: Usage) => void;
}

export type Asked =
  | { kind: "answered"; answer: Answer; finish: FinishReason }
  | { kind: "failed"; error: ModelError; interrupted: InterruptedAnswer | null }
  | { kind: "aborted"; interrupted: InterruptedAnswer | null };

type Verdict = { finish: FinishReason } | { error: ModelError; retry: boolean };

/** What to make of an answer that has ended, one way or another. */
const judge = (answer: Answer, thrown: ModelError | null): Verdict => {
  if (thrown) return { error: thrown, retry: thrown.retryable && thrown.facts.phase === "answer" };
  switch (answer.finish) {
    case null:
      return { error: new ModelError("model_stream_broken", { phase: "answer" }), retry: true };
    case "filtered":
      return { error: new ModelError("model_refused", { phase: "answer" }), retry: false };
    case "length":
      // Thoughts used up the whole output; asking again would use it up again.
      return answer.isEmpty
        ? { error: new ModelError("output_truncated", { phase: "answer" }), retry: false }
        : { finish: answer.finish };
    case "stop":
    case "tool_calls":
      return answer.isEmpty
        ? { error: new ModelError("model_empty", { phase: "answer" }), retry: true }
        : { finish: answer.finish };
  }
};

const interruption = (answer: Answer): InterruptedAnswer | null =>
  answer.text === "" ? null : { id: answer.id, text: answer.text, tool_calls: [], status: "interrupted" };

const charge = (answer: Answer, input: AskInput): void => {
  if (answer.usage) input.spend(answer.usage);
  else if (answer.shown || answer.finish !== null) input.spend(estimateUsage(input.request, answer.written));
};

/**
 * Asks the model for one whole answer and shows it while it is written. An answer that breaks off, cannot be read or is empty is given
 * up, which is said with `message.discarded`, and asked for again under a new message id. That is safe because nothing acts on an answer
 * before it is whole.
 */
export async function* askModel(
  model: Model,
  input: AskInput,
  signal: AbortSignal,
): AsyncGenerator<LiveEvent, Asked, void> {
  for (let retries = 0; ; retries += 1) {
    const answer = new Answer(input.takenIds);
    let thrown: ModelError | null = null;
    try {
      for await (const event of model.stream(input.request, signal)) {
        const shown = answer.take(event);
        if (shown) yield shown;
      }
    } catch (error) {
      thrown = asModelError(error);
    }
    charge(answer, input);
    // An abort can look like anything: an exception, a silent end, or a whole answer at the last moment, which is kept.
    const verdict = judge(answer, thrown);
    if ("finish" in verdict) return { kind: "answered", answer, finish: verdict.finish };
    if (signal.aborted) return { kind: "aborted", interrupted: interruption(answer) };
    if (!verdict.retry || retries >= maxRetries) {
      return { kind: "failed", error: verdict.error, interrupted: interruption(answer) };
    }
    if (answer.shown) yield { type: "message.discarded", message_id: answer.id, reason: verdict.error.code };
    try {
      await delay(Math.random() * retryDelayMs, undefined, { signal });
    } catch {
      return { kind: "aborted", interrupted: null };
    }
  }
}
