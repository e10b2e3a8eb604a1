import { type AgentEvent, type AgentHooks, type AgentOutcome, fromStored, runAgent, textOf } from "@cortex/agentpress";
import type { OpenBrowser } from "@cortex/browser";
import { compareUsd } from "@cortex/contracts";
import { type Failpoint, failpoint } from "@cortex/failpoints";
import {
  type ClaimedRun,
  type Lease,
  readPostedMessages,
  readStoredMessage,
  type Recorder,
  type RunInput,
} from "@cortex/runs";
import type { WorkerServices } from "../services.ts";
import { agentInput } from "./agent-input.ts";
import { modelOf } from "./model-of.ts";
import { createRunTools } from "./run-tools.ts";

/** Runs the engine on an input and records what it yields. */
export const driveEngine = async (
  services: WorkerServices,
  run: ClaimedRun,
  lease: Lease,
  input: RunInput,
  recorder: Recorder,
  openBrowser: OpenBrowser | null,
): Promise<AgentOutcome> => {
  let seen = input.nextSeq;
  const currentTools = createRunTools(services, run, lease, input, recorder);
  const hooks: AgentHooks = {
    nextMessages: async () => {
      if (!recorder.posted()) return [];
      // No further than what the recorder counts as seen: the rest is reported by its next write.
      const toSeq = Math.max(seen, recorder.nextSeq());
      const { id: runId, account_id: accountId, thread_id: threadId } = run;
      const place = { accountId, threadId, fromSeq: seen, toSeq, runId };
      const posted = await lease.outlast(() => readPostedMessages(services.db, place));
      seen = toSeq;
      return posted.map(fromStored);
    },
    tools: currentTools,
    beforeStep: async () => {
      const balance = recorder.balanceUsd();
      // What is held back for this run belongs to it.
      const broke = balance !== null && !input.unlimited && compareUsd(balance, `-${run.reserved_usd}`) <= 0;
      return broke ? { stop: "insufficient_credits" } : "go";
    },
  };
  const catalogue = services.catalogue.current();
  const events: AsyncGenerator<AgentEvent, AgentOutcome> = runAgent(
    {
      model: modelOf(services.model, catalogue, run, input),
      catalogue,
      // The hook says which.
      tools: [],
      hooks,
      openSandbox: services.openSandbox({ accountId: run.account_id, projectId: run.project_id }, lease.outlast),
      readMessage: async (id) => {
        const { account_id: accountId, thread_id: threadId } = run;
        const found = await readStoredMessage(services.db, { accountId, threadId, id });
        return found && { role: found.role, text: textOf(found.content) };
      },
      web: services.web,
      ...(openBrowser ? { openBrowser } : {}),
      ...(services.previews ? { exposePort: services.previews.forRun(run.account_id, lease.outlast) } : {}),
      log: services.log,
    },
    agentInput(run, input, { heldMs: lease.heldMs(), context: services.context }),
    lease.signal,
  );
  for (;;) {
    const next = await events.next();
    if (next.done) return next.value;
    const before = placeBefore(next.value);
    if (before) await failpoint(before);
    const recorded = recorder.record(next.value);
    // Most events are previews, which need no waiting.
    if (recorded) await recorded;
    if (next.value.type === "model.completed" && next.value.claims.length > 0) await failpoint("tool.after_claim");
  }
};

/** Where the engine stands when it yields an event that is not recorded yet. */
const placeBefore = ({ type }: AgentEvent): Failpoint | null => {
  switch (type) {
    case "step.started":
      return "model.before";
    case "message.delta":
      return "model.mid";
    case "model.completed":
      return "model.after";
    case "tool_call.output":
      return "tool.mid";
    case "tool_call.completed":
      return "tool.after_effect";
    default:
      return null;
  }
};
