import { z } from "zod";
import { AccountId, AgentId, AgentVersionId } from "./ids.ts";
import { Timestamp } from "./values.ts";

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
    model_parameters: z.record(z.string(), z.json()),
    /** Null: every tool that there is. */
    tools: z.array(z.string()).nullable(),
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
    model_parameters: z.record(z.string().max(128), z.json()).default({}),
    tools: z.array(z.string().min(1).max(128)).max(100).nullable().default(null),
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
