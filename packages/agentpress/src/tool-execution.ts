import { AppError, type EffectState, type ErrorCode, type ToolEffect } from "@cortex/contracts";
import type { Sandbox } from "@cortex/sandbox/port";
import { ToolFailure } from "./errors.ts";
import { shorten, storableText } from "./storable.ts";
import type { ToolAnswer, ToolContext, ToolOutcome } from "./tool-context.ts";

/** A tool that ignores its signal is left behind after this time. Below the 5 s that a worker gives a run to stop. */
const abandonAfterMs = 1_000;

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

/** Resolves some time after `signal` was aborted, whatever the tool does. */
const abandonment = (signal: AbortSignal) => {
  let timer: NodeJS.Timeout | undefined;
  const { promise, resolve } = Promise.withResolvers<Ending>();
  const onAbort = () => {
    timer = setTimeout(() => resolve({ kind: "abandoned" }), abandonAfterMs);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  return {
    promise,
    clear: () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    },
  };
};

/** What is known about the effect of a call that began. A pure tool has none. */
const effectAfter = (effect: ToolEffect, known: EffectState): EffectState => (effect === "pure" ? "none" : known);

const unknownNote = (effect: ToolEffect): string =>
  effect === "pure" ? "" : " It is not known whether it took effect; look before you repeat it.";

/** Codes of an `AppError` after which nobody knows what was done. Any other is a refusal: nothing was. */
const uncertain: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["unavailable", "internal"]);

const explain = (error: unknown, effect: ToolEffect): Omit<ToolOutcome, "isError" | "interrupted"> => {
  if (error instanceof ToolFailure || (error instanceof AppError && !uncertain.has(error.code))) {
    return { content: error.message, effectState: effectAfter(effect, "failed"), fault: null };
  }
  const effectState = effectAfter(effect, "unknown");
  // An AppError's message is written for readers outside; any other message may hold addresses or secrets of ours.
  if (error instanceof AppError) return { content: error.message + unknownNote(effect), effectState, fault: error };
  const kind = error instanceof Error ? error.name : typeof error;
  return { content: `The tool failed unexpectedly (${kind}).${unknownNote(effect)}`, effectState, fault: error };
};

const conclude = (ending: Ending, effect: ToolEffect, signal: AbortSignal): ToolOutcome => {
  if (ending.kind === "answered") {
    const answer = typeof ending.answer === "string" ? { content: ending.answer } : ending.answer;
    const effectState = effectAfter(effect, "done");
    return { content: answer.content, isError: answer.isError ?? false, effectState, interrupted: false, fault: null };
  }
  const error = ending.kind === "threw" ? ending.error : null;
  if (signal.aborted && !(error instanceof ToolFailure)) {
    const timedOut = signal.reason instanceof ToolTimeout;
    const why = timedOut ? signal.reason.message : "The call was interrupted because the run was ended.";
    const effectState = effectAfter(effect, "unknown");
    return { content: why + unknownNote(effect), isError: true, effectState, interrupted: !timedOut, fault: null };
  }
  return { ...explain(error, effect), isError: true, interrupted: false };
};

const notStarted: ToolOutcome = {
  content: "The call was not started because the run was ended.",
  isError: true,
  effectState: "none",
  interrupted: true,
  fault: null,
};

/**
 * Runs the body of a tool within its bounds. Never throws, and never takes longer than the time limit plus `abandonAfterMs`.
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
  const abandoned = abandonment(signal);

  const opened: Sandbox[] = [];
  let left = false;
  const bounded: ToolContext = {
    ...context,
    signal,
    // A tool that was left behind may go on talking; nobody listens any more.
    output: async (chunk) => (left ? undefined : context.output(chunk)),
    openSandbox: async () => {
      const sandbox = await context.openSandbox();
      opened[0] = sandbox;
      return sandbox;
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
    const ending = await Promise.race([work(), abandoned.promise]);
    left = true;
    const outcome = conclude(ending, bounds.effect, signal);
    const notices = opened.flatMap((sandbox) => sandbox.takeNotices()).map((notice) => `[${notice.text}]\n`);
    return { ...outcome, content: shorten(storableText(notices.join("") + outcome.content), bounds.maxResultChars) };
  } finally {
    clearTimeout(timer);
    abandoned.clear();
    context.signal.removeEventListener("abort", forward);
  }
};
