import { z } from "zod";
import { Json, Timestamp } from "./values.ts";

/**
 * A tool call that waits for a person. `digest` (SHA-256, hex) stands for exactly this name and these arguments: a decision repeats it, so
 * that nobody decides about anything else than what was shown.
 */
export const OpenApproval = z
  .object({ tool_call_id: z.string(), name: z.string(), arguments: Json, digest: z.string() })
  .meta({ id: "OpenApproval" });
export type OpenApproval = z.infer<typeof OpenApproval>;

/** `edit`: the call runs with the person's arguments instead of the model's. */
export const ApprovalDecision = z.enum(["approve", "reject", "edit"]);
export type ApprovalDecision = z.infer<typeof ApprovalDecision>;

/** What a person decided about one call, once and for all. `arguments` only with `edit`. */
export const DecidedApproval = z
  .object({
    tool_call_id: z.string(),
    name: z.string(),
    digest: z.string(),
    decision: ApprovalDecision,
    arguments: Json.optional(),
    comment: z.string().nullable(),
    /** The user. */
    decided_by: z.uuid(),
    decided_at: Timestamp,
  })
  .meta({ id: "DecidedApproval" });
export type DecidedApproval = z.infer<typeof DecidedApproval>;

/** Longer is a conversation; that belongs into the thread. Characters. */
const maxComment = 2_000;

/** `digest` is the one that was shown with the call. `arguments`, whole, with `edit` and only then. */
export const DecideApproval = z
  .strictObject({
    decision: ApprovalDecision,
    digest: z.string().regex(/^[0-9a-f]{64}$/, "must be the digest that was shown with the call"),
    arguments: z.record(z.string(), Json).optional(),
    /** With `reject` the model reads it; it is kept with the others, too. */
    comment: z.string().max(maxComment).optional(),
  })
  .refine((body) => (body.decision === "edit") === (body.arguments !== undefined), {
    path: ["arguments"],
    message: "belong to the decision `edit`, and to no other",
  })
  .meta({ id: "DecideApproval" });
export type DecideApproval = z.infer<typeof DecideApproval>;
