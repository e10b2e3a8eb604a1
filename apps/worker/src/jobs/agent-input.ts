import { type AgentInput, type ContextSettings, fromStored, type ModelParameters } from "@cortex/agentpress";
import { canonicalUsd } from "@cortex/contracts";
import type { ClaimedRun, RunInput } from "@cortex/runs";

const modelParameters = ({ modelParameters: given }: RunInput): ModelParameters => ({
  temperature: given.temperature,
  topP: given.top_p,
  maxOutputTokens: given.max_output_tokens,
  reasoningEffort: given.reasoning_effort,
});

/** A run has a deadline from its first claim on. */
const withoutDeadlineMs = 60_000;

/**
 * The deadline by this machine's clock, by which the engine works: the row's times are the database's, and the two clocks may be far apart.
 * @param heldMs since the claim
 */
export const deadlineHere = (run: Pick<ClaimedRun, "claimed_at" | "deadline_at">, heldMs: number, now: Date): Date => {
  const { claimed_at: claimedAt, deadline_at: deadlineAt } = run;
  const leftAtClaim = claimedAt && deadlineAt ? deadlineAt.getTime() - claimedAt.getTime() : withoutDeadlineMs;
  return new Date(now.getTime() - heldMs + leftAtClaim);
};

/**
 * What the engine needs to know, from what Postgres says.
 * @param given.heldMs since the claim
 */
export const agentInput = (
  run: ClaimedRun,
  input: RunInput,
  { heldMs, context }: { heldMs: number; context: ContextSettings },
): AgentInput => {
  return {
    runId: run.id,
    requestId: run.request_id,
    instructions: input.instructions,
    messages: input.messages.map(fromStored),
    summary: input.summary,
    context,
    tainted: input.summary?.tainted ?? false,
    takenCallIds: input.summarisedCallIds,
    model: run.model,
    fallbackModels: input.fallbackModels,
    parameters: modelParameters(input),
    limits: {
      maxSteps: input.maxSteps,
      deadline: deadlineHere(run, heldMs, new Date()),
      ...(run.max_cost_usd === null ? {} : { maxCostUsd: canonicalUsd(run.max_cost_usd) }),
    },
    firstStep: input.firstStep,
    spent: { usage: input.spent.usage, cost_usd: input.spent.costUsd },
    ...(input.left ? { pendingToolCalls: input.left.calls } : {}),
  };
};
