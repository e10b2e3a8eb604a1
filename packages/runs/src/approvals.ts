import type { DecidedApproval, OpenApproval, ToolCallRequest } from "@cortex/contracts";
import type { DB } from "@cortex/db";
import type { Selectable } from "kysely";

/** What is stored about a call that needs a person; see cortex.tool_approvals. */
export type ApprovalRow = Selectable<DB["tool_approvals"]>;

type CallRow = Pick<Selectable<DB["tool_calls"]>, "call_id" | "name" | "arguments">;

/** What a person decided; the engine of the worker takes it as it is. */
export type StoredDecision =
  | { kind: "approve" }
  | { kind: "reject"; comment: string | null }
  | { kind: "edit"; arguments: ToolCallRequest["arguments"]; comment: string | null };

/** Null: nobody has decided yet. */
export const decisionOf = (
  row: Pick<ApprovalRow, "decision" | "comment" | "edited_arguments">,
): StoredDecision | null => {
  const { comment } = row;
  switch (row.decision) {
    case null:
      return null;
    case "approve":
      return { kind: "approve" };
    case "reject":
      return { kind: "reject", comment };
    case "edit":
      return { kind: "edit", arguments: row.edited_arguments as ToolCallRequest["arguments"], comment };
  }
};

/** What a call acts with: what the model asked for, or what a person has put in its place. */
export const argumentsToRun = (
  call: Pick<CallRow, "arguments">,
  row: Pick<ApprovalRow, "decision" | "edited_arguments"> | undefined,
): ToolCallRequest["arguments"] =>
  (row?.decision === "edit" ? row.edited_arguments : call.arguments) as ToolCallRequest["arguments"];

/** A call as people are asked about it. */
export const toOpenApproval = (call: CallRow, { digest }: Pick<ApprovalRow, "digest">): OpenApproval => ({
  tool_call_id: call.call_id,
  name: call.name,
  arguments: call.arguments as OpenApproval["arguments"],
  digest,
});

/** What was decided about a call; null while nobody has. */
export const toDecidedApproval = (
  call: Pick<CallRow, "call_id" | "name">,
  row: ApprovalRow,
): DecidedApproval | null => {
  if (row.decision === null || row.decided_by === null || row.decided_at === null) return null;
  return {
    tool_call_id: call.call_id,
    name: call.name,
    digest: row.digest,
    decision: row.decision,
    ...(row.decision === "edit" ? { arguments: row.edited_arguments as DecidedApproval["arguments"] } : {}),
    comment: row.comment,
    decided_by: row.decided_by,
    decided_at: row.decided_at.toISOString(),
  };
};
