import { createHash } from "node:crypto";
import { noUsage, type Usd } from "@cortex/contracts";
import type { ApprovalWait, EngineEvent, ProviderWait } from "../engine-events.ts";

/*
 * What an engine would yield, for tests of what is made of it.
 */

export const answered = (
  step: number,
  text: string,
  calls: { id: string; name: string; effect: "pure" | "once" }[] = [],
): EngineEvent => ({
  type: "model.completed",
  step,
  model: "demo",
  message: {
    id: crypto.randomUUID() as never,
    text,
    tool_calls: calls.map(({ id, name }) => ({ id, name, arguments: { expression: "1" } })),
    status: "complete",
  },
  claims: calls.map(({ id, name, effect }) => ({ tool_call_id: id, name, effect })),
  usage: { ...noUsage, input_tokens: 10, output_tokens: 5 },
  cost_usd: "0.001",
  finish_reason: "stop",
  duration_ms: 12,
});

export const called = (id: string, name: string, result: string): EngineEvent[] => [
  { type: "tool_call.started", tool_call_id: id, name, arguments: {} },
  {
    type: "tool_call.completed",
    tool_call_id: id,
    name,
    result,
    is_error: false,
    effect_state: name === "shell" ? "done" : "none",
    duration_ms: 3,
  },
];

export const stepDone = (step: number): EngineEvent => ({
  type: "step.completed",
  step,
  model: "demo",
  usage: { ...noUsage, input_tokens: 10, output_tokens: 5 },
  cost_usd: "0.001",
  duration_ms: 20,
});

/** The provider lets nobody through, after it has begun an answer if that has cost something. */
export const limited = (retryAfterMs: number | null, costUsd: Usd = "0"): ProviderWait => ({
  kind: "waiting",
  reason: "provider_limit",
  code: "model_rate_limited",
  message: "limited",
  retryAfterMs,
  unreported: { usage: { ...noUsage, output_tokens: costUsd === "0" ? 0 : 7 }, cost_usd: costUsd },
});

export const nothingElse = { unreported: { usage: noUsage, cost_usd: "0" } };

interface AskedCall {
  id: string;
  name: string;
  effect: "pure" | "once";
  approval?: boolean;
}

/** What stands for a call; that it is made of name and arguments is the engine's business. */
export const digestFor = (callId: string): string => createHash("sha256").update(callId).digest("hex");

/** An answer of which some calls need a person. */
export const answeredForPeople = (step: number, calls: readonly AskedCall[]): EngineEvent => {
  const event = answered(step, "May I?", [...calls]);
  if (event.type !== "model.completed") throw new Error("an answer is an answer");
  const claims = event.claims.map((claim, index) => ({
    ...claim,
    awaits: calls[index]?.approval ? ("approval" as const) : ("others" as const),
  }));
  return { ...event, claims };
};

/** The end of the engine after that answer. */
export const waitsForPeople = (calls: readonly AskedCall[]): ApprovalWait => ({
  kind: "waiting",
  reason: "approval",
  approvals: calls
    .filter(({ approval }) => approval)
    .map(({ id, name }) => ({ tool_call_id: id, name, arguments: { expression: "1" }, digest: digestFor(id) })),
  ...nothingElse,
});
