import { type Asked, askModel } from "./ask-model.ts";
import type { ModelError } from "./errors.ts";
import type { LiveEvent } from "./events.ts";
import { maySurvive } from "./fallback.ts";
import type { Model } from "./model.ts";
import type { ModelAsk, StepModels } from "./model-asks.ts";

export interface AskModelsInput {
  models: StepModels;
  /** Told of each model that failed. */
  onFailure: (ask: ModelAsk, error: ModelError) => void;
}

export type AskedOne = Asked & { ask: ModelAsk };

type Failure = Extract<AskedOne, { kind: "failed" | "limited" }>;

const isFailure = (asked: AskedOne): asked is Failure => asked.kind === "failed" || asked.kind === "limited";

/** What was shown of an answer that is given up for another model's. */
const takenBack = (failure: Failure): LiveEvent[] =>
  failure.kind === "failed" && failure.interrupted
    ? [{ type: "message.discarded", message_id: failure.interrupted.id, reason: failure.error.code }]
    : [];

const byReturn = (left: Failure, right: Failure): number =>
  (left.error.facts.retryAfterMs ?? 0) - (right.error.facts.retryAfterMs ?? 0);

/**
 * What a step ends with that no model has answered. It waits if waiting helps any of them, for the one that is back first. Otherwise it
 * fails with the first error, which is about the model that was to answer; what was shown last is kept.
 */
async function* endOf(failures: readonly [Failure, ...Failure[]]): AsyncGenerator<LiveEvent, Failure, void> {
  const [first] = failures;
  const last = failures.at(-1) ?? first;
  const [limited] = failures.filter(({ kind }) => kind === "limited").toSorted(byReturn);
  if (limited) {
    yield* takenBack(last);
    return limited;
  }
  return first.kind === "failed" && last.kind === "failed" ? { ...first, interrupted: last.interrupted } : first;
}

/**
 * Asks one model after the other until one has answered. What was shown of an answer is taken back before the next model is asked. What
 * another one may survive: `fallback.ts`.
 */
export async function* askModels(
  model: Model,
  input: AskModelsInput,
  signal: AbortSignal,
): AsyncGenerator<LiveEvent, AskedOne, void> {
  const { first, others } = input.models;
  const own: AskedOne = { ...(yield* askModel(model, first, signal)), ask: first };
  if (!isFailure(own)) return own;
  input.onFailure(first, own.error);
  const failures: [Failure, ...Failure[]] = [own];
  let last: Failure = own;
  for (const other of others) {
    if (!maySurvive(last.error, last.ask.model, other.model)) continue;
    const ask = other.ask();
    if (ask === null) continue;
    yield* takenBack(last);
    const asked: AskedOne = { ...(yield* askModel(model, ask, signal)), ask };
    if (!isFailure(asked)) return asked;
    input.onFailure(ask, asked.error);
    failures.push(asked);
    last = asked;
  }
  return yield* endOf(failures);
}
