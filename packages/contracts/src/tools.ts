import { z } from "zod";
import { Json } from "./values.ts";

/**
 * What repeating a tool call would do. `pure`: nothing; it may simply run again. `idempotent`: repeating it with the same key is
 * harmless. `once`: must never be repeated; an uncertain call becomes `unknown` and is said aloud.
 */
export const ToolEffect = z.enum(["pure", "idempotent", "once"]);
export type ToolEffect = z.infer<typeof ToolEffect>;

/** What is known about a call's effect when its result is reported. */
export const EffectState = z.enum(["none", "done", "failed", "unknown"]);
export type EffectState = z.infer<typeof EffectState>;

/**
 * When a call waits for a person. `if_tainted`: once the conversation holds content that a stranger may have written (a page of the web, the
 * answer of a foreign server), because that may steer the model.
 */
export const ToolApproval = z.enum(["never", "always", "if_tainted"]);
export type ToolApproval = z.infer<typeof ToolApproval>;

export const ToolName = z.string().min(1).max(128);

/** A tool as `GET /tools` lists it; `parameters` is the JSON Schema exactly as the model gets it. */
export const ToolInfo = z
  .object({
    name: z.string(),
    title: z.string(),
    description: z.string(),
    /** A name of the Lucide icon set. */
    icon: z.string(),
    effect: ToolEffect,
    approval: ToolApproval,
    parameters: z.record(z.string(), Json),
  })
  .meta({ id: "ToolInfo" });
export type ToolInfo = z.infer<typeof ToolInfo>;
