import { z } from "zod";
import { AccountId, ProjectId, SandboxId } from "./ids.ts";
import { Timestamp } from "./values.ts";

export const Project = z
  .object({
    id: ProjectId,
    account_id: AccountId,
    name: z.string(),
    description: z.string(),
    sandbox_id: SandboxId.nullable(),
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: "Project" });
export type Project = z.infer<typeof Project>;

const name = z.string().trim().min(1).max(200);
const description = z.string().max(10_000);

export const CreateProject = z
  .strictObject({ name, description: description.default("") })
  .meta({ id: "CreateProject" });
export type CreateProject = z.infer<typeof CreateProject>;

export const UpdateProject = z
  .strictObject({ name: name.optional(), description: description.optional() })
  .meta({ id: "UpdateProject" });
export type UpdateProject = z.infer<typeof UpdateProject>;
