import { type AskedOne, askModels } from "../ask-models.ts";
import type { ModelError } from "../errors.ts";
import type { AgentEvent } from "../events.ts";
import { type ModelAsk, modelsOfStep, type StepModels } from "../model-asks.ts";
import type { Run } from "../run.ts";
import { believeTooLong, fitIntoWindow } from "./compact.ts";

interface AskInContextInput {
  step: number;
  /** Whom the step asks, as the conversation stands. */
  models: StepModels;
  onFailure: (ask: ModelAsk, error: ModelError) => void;
}

export type AskedInContext =
  | AskedOne
  /** A summary has used up what the budget would have bought. */
  | { kind: "unaffordable" };

/**
 * Asks with a conversation that fits into the model's window: it is compacted before, if need be, and once more if the model says that it is too
 * long all the same. A second refusal is the answer, and so is one of what cannot be made any shorter.
 */
export async function* askInContext(
  run: Run,
  input: AskInContextInput,
): AsyncGenerator<AgentEvent, AskedInContext, void> {
  const { step, onFailure } = input;
  let models: StepModels | null = input.models;
  let refused: { asked: AskedOne; size: number } | null = null;
  for (;;) {
    const { first } = models;
    const fitted = yield* fitIntoWindow(run, step, first);
    if (fitted.kind === "aborted") return { ...fitted, interrupted: null, ask: first };
    if (fitted.kind === "changed") models = modelsOfStep(run);
    if (models === null) return { kind: "unaffordable" };
    const size = run.inputEstimate.of(models.first.request);
    if (refused && size >= refused.size) return refused.asked;
    const asked = yield* askModels(run.deps.model, { models, onFailure }, run.cancellation.signal);
    if (refused || asked.kind !== "failed" || asked.error.code !== "context_overflow") return asked;
    if (asked.interrupted)
      yield { type: "message.discarded", message_id: asked.interrupted.id, reason: asked.error.code };
    refused = { asked: { ...asked, interrupted: null }, size };
    believeTooLong(run, asked.ask);
    models = modelsOfStep(run);
    if (models === null) return { kind: "unaffordable" };
  }
}
