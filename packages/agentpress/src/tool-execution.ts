import { AppError, type EffectState, type ErrorCode, type ToolEffect } from "@cortex/contracts";
import type { Sandbox } from "@cortex/sandbox/port";
import { storablePictures } from "./context/pictures.ts";
import { ToolFailure } from "./errors.ts";
import { fitResult, outputPath } from "./kept-result.ts";
import { startPatience } from "./patience.ts";
import { type EndedCommand, noteKills } from "./sandbox-kills.ts";
import { shorten, storableText } from "./storable.ts";
import type { ToolAnswer, ToolContext, ToolOutcome } from "./tool-context.ts";

export interface ExecutionBounds {
  effect: ToolEffect;
  timeoutMs: number;
  maxResultChars: number;
}

/** The reason of a call's signal when its own time ran out. */
class ToolTimeout extends Error {
  override readonly name = "ToolTimeout";
}

type Ending =
  | { kind: "answered"; answer: string | ToolAnswer }
  | { kind: "threw"; error: unknown }
  | { kind: "abandoned" };

/** What is known about the effect of a call that began. A pure tool has none. */
const effectAfter = (effect: ToolEffect, known: EffectState): EffectState => (effect === "pure" ? "none" : known);

const unknownNote = (effect: ToolEffect): string =>
  effect === "pure" ? "" : " It is not known whether it took effect; look before you repeat it.";

/** Codes of an `AppError` after which nobody knows what was done. Any other is a refusal: nothing was. */
const uncertain: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["unavailable", "internal"]);

const explain = (error: unknown, effect: ToolEffect): Pick<ToolOutcome, "content" | "effectState" | "fault"> => {
  if (error instanceof ToolFailure || (error instanceof AppError && !uncertain.has(error.code))) {
    return { content: error.message, effectState: effectAfter(effect, "failed"), fault: null };
  }
  const effectState = effectAfter(effect, "unknown");
  // An AppError's message is written for readers outside; any other message may hold addresses or secrets of ours.
  if (error instanceof AppError) return { content: error.message + unknownNote(effect), effectState, fault: error };
  const kind = error instanceof Error ? error.name : typeof error;
  return { content: `The tool failed unexpectedly (${kind}).${unknownNote(effect)}`, effectState, fault: error };
};

const whyEnded = (signal: AbortSignal, leftBehind: boolean): string => {
  if (signal.reason instanceof ToolTimeout) return signal.reason.message;
  if (leftBehind) return "The call did not react when the run was ended, and was left behind.";
  return "The call was interrupted because the run was ended.";
};

const conclude = (ending: Ending, effect: ToolEffect, signal: AbortSignal): Omit<ToolOutcome, "killed"> => {
  const leftBehind = ending.kind === "abandoned";
  if (ending.kind === "answered") {
    const answer = typeof ending.answer === "string" ? { content: ending.answer } : ending.answer;
    const effectState = effectAfter(effect, "done");
    const { content, isError = false } = answer;
    const images = storablePictures(answer.images ?? []);
    const rest = { isError, effectState, interrupted: false, leftBehind, fault: null };
    return images.length === 0 ? { content, ...rest } : { content, images, ...rest };
  }
  const error = ending.kind === "threw" ? ending.error : null;
  if (signal.aborted && !(error instanceof ToolFailure)) {
    const content = whyEnded(signal, leftBehind) + unknownNote(effect);
    const effectState = effectAfter(effect, "unknown");
    const interrupted = !(signal.reason instanceof ToolTimeout);
    return { content, isError: true, effectState, interrupted, leftBehind, fault: null };
  }
  return { ...explain(error, effect), isError: true, interrupted: false, leftBehind };
};

const notStarted: ToolOutcome = {
  content: "The call was not started because the run was ended.",
  isError: true,
  effectState: "none",
  interrupted: true,
  leftBehind: false,
  killed: [],
  fault: null,
};

/**
 * Runs the body of a tool within its bounds. Never throws, and never takes longer than the time limit and our patience with an abort.
 * What happened to the sandbox meanwhile (it was restarted, say) is told beside the result.
 */
export const executeBounded = async (
  bounds: ExecutionBounds,
  execute: (context: ToolContext) => Promise<string | ToolAnswer>,
  context: ToolContext,
): Promise<ToolOutcome> => {
  if (context.signal.aborted) return notStarted;
  const controller = new AbortController();
  const { signal } = controller;
  const forward = () => controller.abort(context.signal.reason);
  context.signal.addEventListener("abort", forward, { once: true });
  const seconds = Math.round(bounds.timeoutMs / 100) / 10;
  const timer = setTimeout(
    () => controller.abort(new ToolTimeout(`The tool did not finish within ${seconds} s.`)),
    bounds.timeoutMs,
  );
  const patience = startPatience(signal);

  const opened: Sandbox[] = [];
  const killed: EndedCommand[] = [];
  let left = false;
  const bounded: ToolContext = {
    ...context,
    signal,
    // A tool that was left behind may go on talking; nobody listens any more.
    output: async (chunk) => (left ? undefined : context.output(chunk)),
    openSandbox: async () => {
      const sandbox = await context.openSandbox();
      opened[0] = sandbox;
      return noteKills(sandbox, (ended) => killed.push(ended));
    },
  };
  const work = async (): Promise<Ending> => {
    try {
      return { kind: "answered", answer: await execute(bounded) };
    } catch (error) {
      return { kind: "threw", error };
    }
  };

  try {
    const ending = (await patience.wait(work())) ?? { kind: "abandoned" };
    left = true;
    const outcome = conclude(ending, bounds.effect, signal);
    const notices = opened.flatMap((sandbox) => sandbox.takeNotices()).map((notice) => `[${notice.text}]\n`);
    const text = storableText(notices.join("") + outcome.content);
    const sandbox = opened[0] ?? context.openedSandbox?.() ?? null;
    const path = outputPath(context.runId, context.toolCallId);
    // Not after an abort: nothing begins then any more.
    const target = sandbox === null || signal.aborted ? null : { sandbox, path, signal };
    const kept = await patience.wait(fitResult(text, bounds.maxResultChars, target));
    const content = kept?.content ?? shorten(text, bounds.maxResultChars);
    return { ...outcome, killed, content, fault: outcome.fault ?? kept?.fault ?? null };
  } finally {
    clearTimeout(timer);
    patience.dispose();
    context.signal.removeEventListener("abort", forward);
  }
};
