import { z } from "zod";

/**
 * Ids on the wire are lowercase uuids. Branding keeps a thread id from being passed where a run id is meant; the brand
 * exists only at compile time.
 */
const id = <Name extends string>(_name: Name) => z.uuid().toLowerCase().brand<Name>();

export const AccountId = id("AccountId");
export const UserId = id("UserId");
export const ProjectId = id("ProjectId");
export const ThreadId = id("ThreadId");
export const MessageId = id("MessageId");
export const AgentId = id("AgentId");
export const AgentVersionId = id("AgentVersionId");
export const RunId = id("RunId");
export const SandboxId = id("SandboxId");
export const SummaryId = id("SummaryId");
export const McpServerId = id("McpServerId");

export type AccountId = z.infer<typeof AccountId>;
export type UserId = z.infer<typeof UserId>;
export type ProjectId = z.infer<typeof ProjectId>;
export type ThreadId = z.infer<typeof ThreadId>;
export type MessageId = z.infer<typeof MessageId>;
export type AgentId = z.infer<typeof AgentId>;
export type AgentVersionId = z.infer<typeof AgentVersionId>;
export type RunId = z.infer<typeof RunId>;
export type SandboxId = z.infer<typeof SandboxId>;
export type SummaryId = z.infer<typeof SummaryId>;
export type McpServerId = z.infer<typeof McpServerId>;

/** Who opened a request and where it went: safe characters only, so that it may stand in headers and logs unescaped. */
export const RequestId = z.string().regex(/^[A-Za-z0-9._:-]{1,128}$/);
