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

/** What the model reads of a tool, if somebody words it anew. */
const ToolDescription = z.string().trim().min(1).max(4_000);

/** What an account, or one of its agents, says about a tool. Null: nothing. */
export const ToolSettings = z
  .object({
    enabled: z.boolean().nullable(),
    description: z.string().nullable(),
    approval: ToolApproval.nullable(),
  })
  .meta({ id: "ToolSettings" });
export type ToolSettings = z.infer<typeof ToolSettings>;

/** What is left out stays; null takes back what was said. */
export const UpdateToolSettings = z
  .strictObject({
    enabled: z.boolean().nullable().optional(),
    description: ToolDescription.nullable().optional(),
    approval: ToolApproval.nullable().optional(),
  })
  .meta({ id: "UpdateToolSettings" });
export type UpdateToolSettings = z.infer<typeof UpdateToolSettings>;

/** A tool as its source declares it. `built_in`: a file of this installation. `mcp`: a server that the account has connected. */
export const ToolManifest = z.object({
  name: z.string(),
  title: z.string(),
  description: z.string(),
  /** A name of the Lucide icon set. */
  icon: z.string(),
  source: z.enum(["built_in", "mcp"]),
  effect: ToolEffect,
  approval: ToolApproval,
  /** JSON Schema of the arguments, exactly as the model gets it. */
  parameters: z.record(z.string(), Json),
});
export type ToolManifest = z.infer<typeof ToolManifest>;

/** Who has the last word about a field of a tool. `tool`: nobody has said otherwise. */
export const ToolAuthority = z.enum(["tool", "account", "agent", "agent_version"]);
export type ToolAuthority = z.infer<typeof ToolAuthority>;

/**
 * A tool as `GET /tools` lists it: as it is in effect for the account, or for the agent that was asked about. The agent's description goes before
 * the account's; otherwise whoever stands further down can only be stricter: switch off, and ask for more approval.
 */
export const ToolInfo = ToolManifest.extend({
  enabled: z.boolean(),
  decided_by: z.object({ enabled: ToolAuthority, description: ToolAuthority, approval: ToolAuthority }),
  /** What the tool itself declares. */
  defaults: z.object({ description: z.string(), approval: ToolApproval }),
  /** What was set; null: nothing was. */
  settings: z.object({ account: ToolSettings.nullable(), agent: ToolSettings.nullable() }),
}).meta({ id: "ToolInfo" });
export type ToolInfo = z.infer<typeof ToolInfo>;
