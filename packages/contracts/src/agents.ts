import { z } from "zod";
import { AccountId, AgentId, AgentVersionId } from "./ids.ts";
import { ToolApproval, ToolName } from "./tools.ts";
import { Json, Timestamp } from "./values.ts";

/** What a version asks of its model. Everything left out is the endpoint's own default. */
export const ModelParameters = z
  .strictObject({
    temperature: z.number().min(0).max(2).optional(),
    top_p: z.number().gt(0).max(1).optional(),
    /** Tokens that the model may write in one answer. */
    max_output_tokens: z.int().min(1).max(1_000_000).optional(),
    reasoning_effort: z.enum(["minimal", "low", "medium", "high"]).optional(),
    /** How the model calls tools: by the endpoint's own function calls, or in its text. Left out: by what is known of the model. */
    tool_calling: z.enum(["native", "xml"]).optional(),
  })
  .meta({ id: "ModelParameters" });
export type ModelParameters = z.infer<typeof ModelParameters>;

/** When a call of a tool waits for a person, by the tool's name; it can only be stricter than what the account says. */
const Approvals = z.record(ToolName, ToolApproval);
const mostTools = 100;
const mostFallbacks = 10;
/** What the column holds. */
const maxVersion = 2 ** 31 - 1;

/** What a version consists of; the rest says which it is. */
export const versionFields = [
  "instructions",
  "model",
  "fallback_models",
  "model_parameters",
  "tools",
  "approvals",
  "max_steps",
] as const;

/** One state of an agent. It never changes; a run is pinned to the one it started with. */
export const AgentVersion = z
  .object({
    id: AgentVersionId,
    agent_id: AgentId,
    /** 1, 2, 3, … within the agent. */
    version: z.int().positive(),
    instructions: z.string(),
    /** Null: the model that the runtime is set to use. */
    model: z.string().nullable(),
    /** Asked in this order when the model before does not answer. */
    fallback_models: z.array(z.string()),
    model_parameters: ModelParameters,
    /** Null: every tool that there is. */
    tools: z.array(z.string()).nullable(),
    approvals: Approvals,
    max_steps: z.int().positive(),
    created_at: Timestamp,
  })
  .meta({ id: "AgentVersion" });
export type AgentVersion = z.infer<typeof AgentVersion>;

export const Agent = z
  .object({
    id: AgentId,
    account_id: AccountId,
    name: z.string(),
    description: z.string(),
    /** The one that answers when a run names none. */
    is_default: z.boolean(),
    active_version: AgentVersion.nullable(),
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: "Agent" });
export type Agent = z.infer<typeof Agent>;

/** What is not given is left to the runtime: its model, every tool, fifty steps. */
export const CreateAgentVersion = z
  .strictObject({
    instructions: z.string().min(1).max(200_000),
    model: z.string().min(1).max(200).nullable().default(null),
    fallback_models: z.array(z.string().min(1).max(200)).max(mostFallbacks).default([]),
    model_parameters: ModelParameters.default({}),
    tools: z.array(ToolName).max(mostTools).nullable().default(null),
    approvals: Approvals.refine(
      (approvals) => Object.keys(approvals).length <= mostTools,
      `must name at most ${mostTools} tools`,
    ).default({}),
    max_steps: z.int().min(1).max(1000).default(50),
  })
  .meta({ id: "CreateAgentVersion" });
export type CreateAgentVersion = z.infer<typeof CreateAgentVersion>;

export const CreateAgent = z
  .strictObject({
    name: z.string().trim().min(1).max(200),
    description: z.string().max(10_000).default(""),
    version: CreateAgentVersion,
  })
  .meta({ id: "CreateAgent" });
export type CreateAgent = z.infer<typeof CreateAgent>;

/** What is left out stays. */
export const UpdateAgent = z
  .strictObject({
    name: z.string().trim().min(1).max(200).optional(),
    description: z.string().max(10_000).optional(),
    /** The account's default agent from now on; it has one at any time, so it is taken from an agent by giving it to another. */
    is_default: z.literal(true).optional(),
    /** The number of the version that runs get from now on; those that have started keep theirs. */
    active_version: z.int().positive().max(maxVersion).optional(),
  })
  .meta({ id: "UpdateAgent" });
export type UpdateAgent = z.infer<typeof UpdateAgent>;

/** A number of a version in an address. */
export const VersionNumber = z.coerce.number().int().positive().max(maxVersion);

/** What differs between two versions of an agent. */
export const VersionComparison = z
  .object({
    from: z.int().positive(),
    to: z.int().positive(),
    /** The fields that differ, with both values. */
    changes: z.array(
      z.object({
        field: z.enum(versionFields),
        from: Json,
        to: Json,
      }),
    ),
    /** How the instructions became others, by whole lines, in their order; null if they are equal, or too different for that. */
    instructions: z.array(z.object({ kind: z.enum(["same", "removed", "added"]), text: z.string() })).nullable(),
  })
  .meta({ id: "VersionComparison" });
export type VersionComparison = z.infer<typeof VersionComparison>;
