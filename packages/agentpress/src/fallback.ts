import type { RunErrorCode } from "@cortex/contracts";
import type { ModelError } from "./errors.ts";
import type { AskedModel } from "./models/asked-model.ts";

/**
 * What another model may survive: whatever lies with one model, its provider or the way to it. Not among them: `model_refused` (a
 * provider's policy is not shopped around), `output_truncated` (thoughts that filled one output fill the next) and `internal` (ours).
 */
const othersMaySurvive: ReadonlySet<RunErrorCode> = new Set<RunErrorCode>([
  "model_upstream",
  "model_timeout",
  "model_rate_limited",
  "model_auth",
  "model_budget",
  "model_stream_broken",
  "model_malformed",
  "model_empty",
  "model_bad_request",
]);

/** Is it worth asking `next`, now that `failed` has ended like this? Pure. */
export const maySurvive = (error: ModelError, failed: AskedModel, next: AskedModel): boolean => {
  if (error.code !== "context_overflow") return othersMaySurvive.has(error.code);
  const [failedWindow, nextWindow] = [failed.known?.context_window ?? null, next.known?.context_window ?? null];
  return failedWindow !== null && nextWindow !== null && nextWindow > failedWindow;
};
