import type { AgentEvent } from "./events.ts";
import type { Run } from "./run.ts";
import { runToolCalls, settled, type ToolCallsResult } from "./tool-calls.ts";
import type { PlannedCall } from "./tool-plan.ts";

const defaultMaxParallelCalls = 8;

/**
 * Runs the calls of a step. What the deadline cut off is settled here, because the deadline is final; after an abort the caller
 * decides, because a successor may take the calls over.
 */
export async function* runStepCalls(
  run: Run,
  calls: readonly PlannedCall[],
): AsyncGenerator<AgentEvent, ToolCallsResult, void> {
  const { deps, input, cancellation, sandbox } = run;
  const result = yield* runToolCalls(
    {
      sandbox,
      web: deps.web,
      openBrowser: deps.openBrowser,
      exposePort: deps.exposePort,
      log: deps.log ?? null,
      ...(deps.readMessage ? { readMessage: deps.readMessage } : {}),
    },
    { runId: input.runId, calls, maxParallel: input.limits.maxParallelCalls ?? defaultMaxParallelCalls },
    cancellation.signal,
  );
  if (cancellation.endedBy() === "deadline") for (const call of result.unfinished) yield settled(call);
  return result;
}
