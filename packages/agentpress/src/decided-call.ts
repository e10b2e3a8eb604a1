import type { PendingToolCall, ToolSet } from "./agent.ts";
import { digestOf } from "./approval.ts";
import { shorten } from "./storable.ts";
import { canonical } from "./tool-arguments.ts";
import { type PlannedCall, planStoredCall } from "./tool-plan.ts";

type DecidedCall = Extract<PendingToolCall, { state: "decided" }>;

/** The model need not read a whole file again that it has written itself. Characters. */
const maxShownArguments = 4_000;

const saying = (comment: string | null): string => (comment === null ? "" : ` They say: ${comment}`);

/** What comes of a call about which a person has decided. */
export const planDecidedCall = (tools: ToolSet, one: DecidedCall): PlannedCall => {
  const { call, decision } = one;
  // Whoever keeps the decisions should never bring them together; if it happens, nobody has approved this call.
  if (digestOf(call) !== one.digest) {
    return { request: call, acts: null, problem: "Not run: what was approved is not this call." };
  }
  switch (decision.kind) {
    case "approve":
      return planStoredCall(tools, call);
    case "reject":
      return {
        request: call,
        acts: null,
        problem: `A person rejected this call; it was not run.${saying(decision.comment)}`,
      };
    case "edit": {
      const args = shorten(canonical(decision.arguments), maxShownArguments);
      const note = `A person changed the arguments of this call; they are now ${args}${saying(decision.comment)}`;
      return { ...planStoredCall(tools, { ...call, arguments: decision.arguments }), note };
    }
  }
};
