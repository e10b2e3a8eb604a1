import { createHash } from "node:crypto";
import { callsToolsInText, type Model, withXmlTools } from "@cortex/agentpress";
import type { ModelCatalogue } from "@cortex/agentpress/catalogue";
import type { ClaimedRun, RunInput } from "@cortex/runs";

/** Of the run and not of the attempt, so that a successor asks with the same prompt; of no other run, so that a mark that got about opens nothing. */
const markOf = (runId: string): string =>
  createHash("sha256").update(`xml tools of ${runId}`).digest("hex").slice(0, 8);

/** The model of a run. Each request says itself which model it is for, a fallback may call tools another way. */
export const modelOf = (
  model: Model,
  catalogue: ModelCatalogue,
  run: Pick<ClaimedRun, "id">,
  input: Pick<RunInput, "modelParameters">,
): Model =>
  withXmlTools(model, {
    mark: markOf(run.id),
    when: (request) => callsToolsInText(catalogue, request.model, input.modelParameters.tool_calling ?? null),
  });
