import { setTimeout as delay } from "node:timers/promises";
import type { Usage } from "@cortex/contracts";
import type { InterruptedAnswer } from "./agent.ts";
import { Answer } from "./answer.ts";
import { estimateUsage } from "./context/tokens.ts";
import { asModelError, ModelError } from "./errors.ts";
import type { LiveEvent } from "./events.ts";
import { startPatience, whilePatient } from "./patience.ts";
import type { FinishReason, Model, ModelRequest } from "./model.ts";

/**
 * Longest waits before an answer that broke or was empty is asked for again, milliseconds; as many as there are retries. The first is for
 * a connection that happened to break, the second for an endpoint that is restarting; a person is watching.
 */
export const defaultAnswerRetriesMs: readonly number[] = [200, 2_000];

export interface AskInput {
  request: ModelRequest;
  /** It asks for the rest of an answer: nothing may be left to say. Default false. */
  continues?: boolean;
  /** Ids of earlier tool calls of this conversation. */
  takenIds: ReadonlySet<string>;
  retriesMs: readonly number[];
  /** Tokens of the request, if the endpoint does not say; asked at most once per answer. */
  estimateInput: () => number;
  /** Called once for each request that was answered, wholly or in part. */
  spend: (usage: Usage) => void;
}

export type Asked =
  | { kind: "answered"; answer: Answer; finish: FinishReason }
  /** The provider lets nobody through for now; everything that was shown is taken back. */
  | { kind: "limited"; error: ModelError }
  | { kind: "failed"; error: ModelError; interrupted: InterruptedAnswer | null }
  /** `leftBehind`: the model did not react to the abort and may still be writing. */
  | { kind: "aborted"; interrupted: InterruptedAnswer | null; leftBehind: boolean };

type Verdict = { finish: FinishReason } | { error: ModelError; retry: boolean };

/** What to make of an answer that has ended, one way or another. */
const judge = (answer: Answer, thrown: ModelError | null, { continues }: AskInput): Verdict => {
  if (thrown) {
    const { phase, timeUsedUp } = thrown.facts;
    return { error: thrown, retry: thrown.retryable && phase === "answer" && timeUsedUp !== true };
  }
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
      return answer.isEmpty && !continues
        ? { error: new ModelError("model_empty", { phase: "answer" }), retry: true }
        : { finish: answer.finish };
  }
};

/** A limit that names its end is not asked again before that. */
const mayAskSoon = (error: ModelError): boolean => !error.limited || error.facts.retryAfterMs === undefined;

/** What was shown of an answer, which may be thoughts and half of a call only: then its text is empty. Null: nothing was. */
const interruption = (answer: Answer): InterruptedAnswer | null =>
  answer.shown ? { id: answer.id, text: answer.text, tool_calls: [], status: "interrupted" } : null;

const charge = (answer: Answer, input: AskInput): void => {
  if (answer.usage) input.spend(answer.usage);
  else if (answer.shown || answer.finish !== null) input.spend(estimateUsage(input.estimateInput(), answer.written));
};

/**
 * Asks the model for one whole answer and shows it while it is written. An answer that breaks off, cannot be read or is empty is given
 * up, which is said with `message.discarded`, and asked for again under a new message id. That is safe because nothing acts on an answer
 * before it is whole. So it is with one that a limit of the provider cuts, but that one may have to wait longer than this function does.
 */
export async function* askModel(
  model: Model,
  input: AskInput,
  signal: AbortSignal,
): AsyncGenerator<LiveEvent, Asked, void> {
  for (let retries = 0; ; retries += 1) {
    const answer = new Answer(input.takenIds);
    let thrown: ModelError | null = null;
    const patience = startPatience(signal);
    try {
      for await (const event of whilePatient(model.stream(input.request, signal), patience)) {
        const shown = answer.take(event);
        if (shown) yield shown;
        // The consumer may have aborted while it held the event: then the next one is not waited for.
        if (signal.aborted && answer.finish === null) break;
      }
    } catch (error) {
      thrown = asModelError(error);
    } finally {
      patience.dispose();
    }
    charge(answer, input);
    // An abort can look like anything: an exception, a silent end, or a whole answer at the last moment, which is kept.
    const verdict = judge(answer, thrown, input);
    if ("finish" in verdict) return { kind: "answered", answer, finish: verdict.finish };
    if (signal.aborted)
      return { kind: "aborted", interrupted: interruption(answer), leftBehind: patience.leftBehind() };
    const { error } = verdict;
    const wait = verdict.retry && mayAskSoon(error) ? input.retriesMs[retries] : undefined;
    if (wait === undefined && !error.limited) return { kind: "failed", error, interrupted: interruption(answer) };
    if (answer.shown) yield { type: "message.discarded", message_id: answer.id, reason: error.code };
    if (wait === undefined) return { kind: "limited", error };
    try {
      await delay(Math.random() * wait, undefined, { signal });
    } catch {
      return { kind: "aborted", interrupted: null, leftBehind: false };
    }
  }
}
