import { createHash } from "node:crypto";
import type { OpenApproval, ToolCallRequest } from "@cortex/contracts";
import type { AgentOutcome } from "./agent.ts";
import { isTainted } from "./taint.ts";
import { cutShort, type Run } from "./run.ts";
import { canonical } from "./tool-arguments.ts";
import { neverBegun } from "./tool-calls.ts";
import type { PlannedCall } from "./tool-plan.ts";

/**
 * Stands for exactly this name and these arguments: the SHA-256 (hex) of their JSON without blanks and with sorted keys. A decision binds to
 * it, so that what was shown is what runs.
 */
export const digestOf = (call: Pick<ToolCallRequest, "name" | "arguments">): string =>
  createHash("sha256")
    .update(canonical({ name: call.name, arguments: call.arguments }))
    .digest("hex");

const asks = ({ acts }: PlannedCall, tainted: () => boolean): boolean => {
  switch (acts?.approval) {
    case undefined:
    case "never":
      return false;
    case "always":
      return true;
    case "if_tainted":
      return tainted();
  }
};

/**
 * The calls of an answer about which a person decides before any of them acts. A call that would not act (no such tool, arguments that do not
 * fit) needs no decision.
 */
export const approvalsNeeded = (run: Run, calls: readonly PlannedCall[]): OpenApproval[] => {
  // Reads the whole conversation, so only where it matters.
  const tainted = () => run.context.tainted || isTainted(run.history, run.tools.tools);
  return calls.filter((call) => asks(call, tainted)).map(({ request }) => openApproval(request));
};

export const openApproval = (request: ToolCallRequest): OpenApproval => ({
  tool_call_id: request.id,
  name: request.name,
  arguments: request.arguments,
  digest: digestOf(request),
});

/**
 * The end of this run of the engine, not of the run: a person has to decide first. A run that was aborted meanwhile does not wait.
 * @param calls all of the answer that have no result; none has begun
 */
export const waitForPeople = (
  run: Run,
  calls: readonly PlannedCall[],
  approvals: readonly OpenApproval[],
): AgentOutcome => {
  if (run.cancellation.endedBy() === "caller") {
    return cutShort(run, {
      unfinished: neverBegun(calls),
      aborted: approvals.map(({ name }) => `approval of ${name}`),
    });
  }
  return { kind: "waiting", reason: "approval", approvals, ...run.spending.totals() };
};
