import type { AgentDeps, AgentInput, AgentOutcome } from "./agent.ts";
import { startCancellation } from "./cancellation.ts";
import { wellFormedHistory } from "./context/history.ts";
import { startContext } from "./context/run-context.ts";
import { withSummary } from "./context/summary.ts";
import { startInputEstimate } from "./context/tokens.ts";
import type { AgentEvent } from "./events.ts";
import { askedModels } from "./models/asked-model.ts";
import { fileCatalogue } from "./models/catalogue.ts";
import { failedBefore, finishPendingCalls, isAnswered } from "./resume.ts";
import { cutShort, failed, type Run } from "./run.ts";
import { startRunSandbox } from "./run-sandbox.ts";
import { startSpending } from "./spending.ts";
import { takeStep } from "./step.ts";
import { stopBeforeStep } from "./stop.ts";

/** Why the next step must not begin; null when it may. */
const stopOf = async (run: Run, step: number): Promise<AgentOutcome | null> => {
  if (run.cancellation.endedBy() !== null) return cutShort(run);
  const code = stopBeforeStep({ step, limits: run.input.limits, now: new Date(), spent: run.spending.cost });
  if (code) return failed(run, code);
  const answer = (await run.deps.hooks?.beforeStep?.()) ?? "go";
  if (answer !== "go") return failed(run, answer.stop);
  return run.cancellation.endedBy() === null ? null : cutShort(run);
};

const refreshTools = async (run: Run): Promise<void> => {
  run.tools = (await run.deps.hooks?.tools?.()) ?? run.tools;
};

async function* loop(run: Run): AsyncGenerator<AgentEvent, AgentOutcome, void> {
  await refreshTools(run);
  let result = yield* finishPendingCalls(run);
  if (result === null && isAnswered(run)) result = { finished: true };
  run.history = wellFormedHistory(run.history);
  // What the user wrote while nobody held the run stands last now: it is answered, as it would have been if somebody had.
  if (result && "finished" in result && run.history.at(-1)?.role === "user") result = null;
  result ??= failedBefore(run);

  for (let step = run.input.firstStep; ; step += 1) {
    if (result && "outcome" in result) return result.outcome;
    if (step > 0) {
      const news = (await run.deps.hooks?.nextMessages?.()) ?? [];
      run.history.push(...news);
      if (result?.finished && news.length === 0) return { kind: "completed", ...run.spending.totals() };
    }
    const stop = await stopOf(run, step);
    if (stop) return stop;
    await refreshTools(run);
    result = yield* takeStep(run, step);
  }
}

/**
 * Runs an agent: asks the model, runs the tools it calls, and goes on until it has answered, failed or been stopped.
 *
 * Messages in, events out: it keeps nothing and does not know where the events go. Take `model.completed` as a barrier: no tool of that
 * answer acts before the next event is asked for. Leaving the iteration early ends everything that is running.
 *
 * Failures of the model, of tools and of limits are outcomes; a provider that limits us is one that may be waited for. It throws only what a hook throws.
 * @param signal aborting it ends the run at once; its reason is handed back in the outcome
 */
export async function* runAgent(
  deps: AgentDeps,
  input: AgentInput,
  signal: AbortSignal,
): AsyncGenerator<AgentEvent, AgentOutcome, void> {
  const { model, price, fallbackModels = [] } = input;
  const models = askedModels(deps.catalogue ?? fileCatalogue, { model, price, fallbackModels }, new Date());
  const run: Run = {
    deps,
    input,
    cancellation: startCancellation(signal, input.limits.deadline),
    sandbox: deps.openSandbox ? startRunSandbox(deps.openSandbox) : null,
    models,
    model: models[0],
    spending: startSpending(input.spent ?? null),
    inputEstimate: startInputEstimate(),
    history: withSummary(input.messages, input.summary ?? null),
    context: startContext(input),
    tools: { tools: deps.tools },
  };
  try {
    return yield* loop(run);
  } finally {
    run.cancellation.dispose();
  }
}
