import { type AgentInput, fromStored, type ModelParameters, type Tool } from "@cortex/agentpress";
import { canonicalUsd } from "@cortex/contracts";
import type { ClaimedRun, RunInput } from "@cortex/runs";
import { z } from "zod";

const Parameters = z.object({
  temperature: z.number().optional(),
  topP: z.number().optional(),
  maxOutputTokens: z.int().positive().optional(),
  reasoningEffort: z.enum(["minimal", "low", "medium", "high"]).optional(),
});

/** The tools of a run: what the agent has, narrowed by what the run was started with. Their order stays, for the prompt cache. */
export const toolsOf = (tools: readonly Tool[], run: ClaimedRun, input: RunInput): Tool[] => {
  const allowed = [input.agentTools, run.tools].filter((names) => names !== null);
  return tools.filter((tool) => allowed.every((names) => names.includes(tool.name)));
};

/** What the engine needs to know, from what Postgres says. */
export const agentInput = (run: ClaimedRun, input: RunInput): AgentInput => {
  const parameters: ModelParameters = Parameters.parse(input.modelParameters);
  return {
    runId: run.id,
    requestId: run.request_id,
    instructions: input.instructions,
    messages: input.messages.map(fromStored),
    model: run.model,
    parameters,
    limits: {
      maxSteps: input.maxSteps,
      deadline: run.deadline_at ?? new Date(Date.now() + 60_000),
      ...(run.max_cost_usd === null ? {} : { maxCostUsd: canonicalUsd(run.max_cost_usd) }),
    },
    firstStep: input.firstStep,
    spent: { usage: input.spent.usage, cost_usd: input.spent.costUsd },
    ...(input.left ? { pendingToolCalls: input.left.calls } : {}),
  };
};
