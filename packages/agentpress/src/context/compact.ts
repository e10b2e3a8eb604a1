import type { ContextCompacted } from "../events.ts";
import type { AgentMessage } from "../messages.ts";
import type { ModelAsk } from "../model-asks.ts";
import type { AskedModel } from "../models/asked-model.ts";
import type { Run } from "../run.ts";
import { isTainted } from "../taint.ts";
import { shares } from "./room.ts";
import { messagesToSend } from "./run-context.ts";
import { type Split, splitForSummary, summaryMessage } from "./summary.ts";
import { summarise, type Summarised } from "./summarise.ts";
import { fixedTokens, tokensOf } from "./tokens.ts";

/** So often in a row a summary may fail, before this attempt tries no more. */
const maxFailures = 2;

const callIds = (messages: readonly AgentMessage[]): string[] =>
  messages.flatMap((message) => (message.role === "assistant" ? message.tool_calls.map((call) => call.id) : []));

const userIds = (messages: readonly AgentMessage[]): string[] =>
  messages.flatMap((message) => (message.role === "user" && message.id !== undefined ? [message.id] : []));

const sizeOf = (messages: readonly AgentMessage[]): number =>
  messages.reduce((sum, message) => sum + tokensOf(message), 0);

/** Puts the summary in the place of what it stands for; false if it is no shorter than that. */
const takeUp = (run: Run, split: Split, written: Extract<Summarised, { kind: "written" }>): boolean => {
  const { older, kept, recent } = split;
  const message = summaryMessage(written);
  if (tokensOf(message) >= sizeOf(older)) return false;
  for (const id of callIds(older)) run.context.takenIds.add(id);
  run.context.tainted ||= isTainted(older, run.tools.tools);
  run.history = [message, ...kept, ...recent];
  return true;
};

export type Fitted =
  /** It fits as it is, or nothing can be done about it. */
  | { kind: "same" }
  /** What is sent now is another conversation. */
  | { kind: "changed" }
  | { kind: "aborted"; leftBehind: boolean };

/**
 * Makes the conversation fit into the window of the model that is asked next, if it does not: with a summary of its older part, or, where there is none
 * to be had, by cutting even the newest results. What is stored stays as it is.
 * @param ask what that model would be asked now
 */
export async function* fitIntoWindow(
  run: Run,
  step: number,
  { model, request }: Pick<ModelAsk, "model" | "request">,
): AsyncGenerator<ContextCompacted, Fitted, void> {
  const { context } = run;
  const { input } = context.roomFor(model);
  const { least } = context;
  const before = run.inputEstimate.of(request);
  if (before <= input * shares.summariseFrom) return { kind: "same" };
  const size = (): number => run.inputEstimate.of({ ...request, messages: sentTo(run, model) });

  const summarised = yield* summariseOlder(run, step, { model, before, size });
  if (summarised.kind === "aborted") return summarised;
  context.least ||= size() > input * shares.full;
  return summarised.kind === "changed" || context.least !== least ? { kind: "changed" } : { kind: "same" };
}

const sentTo = (run: Run, model: AskedModel): readonly AgentMessage[] =>
  messagesToSend(
    run.context,
    model,
    run.history,
    fixedTokens({ instructions: run.input.instructions, tools: run.tools.tools }),
  );

async function* summariseOlder(
  run: Run,
  step: number,
  { model, before, size }: { model: AskedModel; before: number; size: () => number },
): AsyncGenerator<ContextCompacted, Fitted, void> {
  const { context, deps, input } = run;
  const room = context.roomFor(model).input;
  if (context.failures >= maxFailures) return { kind: "same" };
  const split = splitForSummary(run.history, { tokens: room * shares.keptTurns, least: room * shares.leastSummarised });
  if (split === null) return { kind: "same" };

  const summarised = await summarise(run, model, split);
  if (summarised.kind === "aborted") return summarised;
  if (summarised.kind === "written" && takeUp(run, split, summarised)) {
    context.failures = 0;
    context.least = false;
    const { id, text, model: writer } = summarised;
    yield {
      type: "context.compacted",
      step,
      summary: { id, text },
      before: split.recent[0]?.id ?? "",
      keptUserMessages: userIds([...split.kept, ...split.recent]),
      tainted: context.tainted,
      tokens_before: before,
      tokens_after: size(),
      model: writer,
      ...run.spending.report(),
    };
    return { kind: "changed" };
  }
  // What it has cost is part of the step.
  context.failures += 1;
  const why = summarised.kind === "none" ? summarised.why : "the summary is longer than what it stands for";
  deps.log?.warn({ run_id: input.runId, step, why }, "the conversation could not be summarised");
  return { kind: "same" };
}

/** Of a request that was refused, the next one may have so much. */
const refusedShare = 0.9;

/** The model says that a request was too long: its window is smaller than we thought, or our estimate too low. It is believed. */
export const believeTooLong = (run: Run, { model, request }: Pick<ModelAsk, "model" | "request">): void => {
  const most = Math.floor(run.inputEstimate.of(request) * refusedShare);
  if (most >= run.context.roomFor(model).input) run.context.least = true;
  else run.context.believe(model, most);
};
