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

/** A tool as `GET /tools` lists it; `parameters` is the JSON Schema exactly as the model gets it. */
export const ToolInfo = z
  .object({
    name: z.string(),
    title: z.string(),
    description: z.string(),
    effect: ToolEffect,
    parameters: z.record(z.string(), Json),
  })
  .meta({ id: "ToolInfo" });
export type ToolInfo = z.infer<typeof ToolInfo>;
