import type { ToolCallRequest, ToolEffect, Usage, Usd } from "@cortex/contracts";
import type { ToolCallCompleted, UnfinishedCall } from "./engine-events.ts";
import type { NewMessage, SettleWrite } from "./progress.ts";

/** A tool call of a step, as far as it has come. */
export interface StepCall {
  request: ToolCallRequest;
  effect: ToolEffect;
}

/** Who gave the answer of a step and what it has cost; charged when it was stored. */
export interface Spent {
  model: string;
  usage: Usage;
  costUsd: Usd;
}

/** A step whose answer is stored and whose tool calls are under way. */
export interface OpenStep {
  step: number;
  spent: Spent;
  calls: readonly StepCall[];
  /** Results by call id, as far as there are any. */
  results: Map<string, Pick<ToolCallCompleted, "result" | "images">>;
  /** Of those, the ones that Postgres does not hold yet. */
  unsettled: ToolCallCompleted[];
}

export const openStep = (step: number, spent: Spent, calls: readonly StepCall[]): OpenStep => ({
  step,
  spent,
  calls,
  results: new Map(),
  unsettled: [],
});

/** The results of a step as messages, in the order in which the model asked, whatever order they came in. */
export const resultMessages = (open: OpenStep): NewMessage[] =>
  open.calls.flatMap(({ request }) => {
    const done = open.results.get(request.id);
    if (!done) return [];
    return [
      {
        id: crypto.randomUUID(),
        step: open.step,
        role: "tool",
        status: "complete",
        text: done.result,
        images: done.images ?? [],
        toolCalls: [],
        toolCallId: request.id,
      },
    ];
  });

export const settlement = (call: ToolCallCompleted): SettleWrite => ({
  callId: call.tool_call_id,
  state: call.effect_state === "unknown" ? "unknown" : call.effect_state === "failed" ? "failed" : "done",
  result: call.result,
  isError: call.is_error,
  durationMs: Math.round(call.duration_ms),
});

/**
 * A call that was claimed for its effect and never begun has failed, for good: "no effect" is what Postgres knows of pure calls alone, and whoever reads
 * that it was done would look for what it did.
 */
export const settledCall = (open: OpenStep | null, call: ToolCallCompleted): ToolCallCompleted => {
  const claimed = open?.calls.find(({ request }) => request.id === call.tool_call_id);
  const neverBegan = call.effect_state === "none" && claimed !== undefined && claimed.effect !== "pure";
  // What is settled and said is the text; the pictures go with the message.
  const { images: _, ...said } = call;
  return neverBegan ? { ...said, effect_state: "failed" } : said;
};

/**
 * Of the calls that have acted, the ones that are stored before their step ends. A result with pictures waits for its message, which alone can hold
 * them, if nothing is lost by making it again.
 */
export const storedEarly = (open: OpenStep): { now: ToolCallCompleted[]; later: ToolCallCompleted[] } => {
  const waits = ({ tool_call_id: id }: ToolCallCompleted): boolean =>
    (open.results.get(id)?.images ?? []).length > 0 &&
    open.calls.some(({ request, effect }) => request.id === id && effect === "pure");
  return { now: open.unsettled.filter((call) => !waits(call)), later: open.unsettled.filter(waits) };
};

/** Calls that one write settles have one time, so a rebuilt log has them in the order in which the model asked; the live one says the same. */
export const inCallOrder = (open: OpenStep | null, settled: readonly ToolCallCompleted[]): ToolCallCompleted[] => {
  const positions = new Map(open?.calls.map(({ request }, position) => [request.id, position]));
  const position = (call: ToolCallCompleted) => positions.get(call.tool_call_id) ?? positions.size;
  return settled.toSorted((left, right) => position(left) - position(right));
};

/** The event that settles a call which the end of its run left without a result. */
export const unfinishedCall = (call: UnfinishedCall): ToolCallCompleted => ({
  type: "tool_call.completed",
  tool_call_id: call.tool_call_id,
  name: call.name,
  result: call.result,
  is_error: true,
  effect_state: call.effect_state,
  duration_ms: 0,
});
