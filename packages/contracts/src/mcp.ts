import { z } from "zod";
import { AccountId, McpServerId } from "./ids.ts";
import { ToolApproval, ToolEffect } from "./tools.ts";
import { Json, Timestamp } from "./values.ts";

/** Part of the names of its tools: letters and digits, so that the tools of two servers never have the same name. */
const McpServerName = z.string().regex(/^[a-z][a-z0-9]{0,19}$/);

/** Sent with every request to the server; usually credentials. Never shown again. */
const McpHeaders = z
  .record(
    z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}$/),
    z
      .string()
      .max(8_192)
      .regex(/^[\t\x20-\x7e]*$/),
  )
  .refine((headers) => Object.keys(headers).length <= 20, "at most 20 headers");

/** It is shown to everybody in the account. */
const url = z
  .url({ protocol: /^https?$/ })
  .max(2_000)
  .refine((text) => {
    const parsed = URL.parse(text);
    return parsed !== null && parsed.username === "" && parsed.password === "";
  }, "must not hold a user name or a password: credentials belong into headers");

/** A tool of a server as it was accepted; runs use it as long as the server declares exactly this. */
export const McpTool = z
  .object({
    /** As models call it, and as `GET /tools` lists it. */
    name: z.string(),
    /** As its server calls it. */
    server_tool: z.string(),
    description: z.string(),
    parameters: z.record(z.string(), Json),
    /** Of name, description and parameters. */
    hash: z.string(),
  })
  .meta({ id: "McpTool" });
export type McpTool = z.infer<typeof McpTool>;

/** What the server offered when it was last asked, where that is not what was accepted. Nothing of it is used before it is accepted. */
export const McpChanges = z
  .object({
    /** Names what is looked at: `accept` takes this and nothing else. */
    hash: z.string(),
    added: z.array(McpTool),
    changed: z.array(z.object({ before: McpTool, after: McpTool })),
    removed: z.array(McpTool),
  })
  .meta({ id: "McpChanges" });
export type McpChanges = z.infer<typeof McpChanges>;

/** A server that speaks the Model Context Protocol over HTTP and offers its tools to the agents of an account. */
export const McpServer = z
  .object({
    id: McpServerId,
    account_id: AccountId,
    name: McpServerName,
    url: z.string(),
    /** Their values are kept sealed. */
    header_names: z.array(z.string()),
    enabled: z.boolean(),
    /** Of its tools, unless account or agent say otherwise for one of them. */
    approval: ToolApproval,
    /** Of its tools: what a server says about that itself is not believed. */
    effect: ToolEffect,
    /** In use. */
    tools: z.array(McpTool),
    changes: McpChanges.nullable(),
    /** What the server lists and nobody can use. */
    refused: z.array(z.object({ name: z.string(), reason: z.string() })),
    /** Why it could not be asked, the last time it was. */
    problem: z.string().nullable(),
    /** When it was last asked for its tools; null: never. */
    checked_at: Timestamp.nullable(),
    created_at: Timestamp,
    updated_at: Timestamp,
  })
  .meta({ id: "McpServer" });
export type McpServer = z.infer<typeof McpServer>;

export const CreateMcpServer = z
  .strictObject({
    name: McpServerName,
    url,
    headers: McpHeaders.default({}),
    approval: ToolApproval.default("if_tainted"),
    effect: ToolEffect.default("once"),
  })
  .meta({ id: "CreateMcpServer" });
export type CreateMcpServer = z.infer<typeof CreateMcpServer>;

/**
 * What is left out stays. Another address is another server: it gets no header of the one before, and its tools are to be looked at and accepted
 * anew.
 */
export const UpdateMcpServer = z
  .strictObject({
    url: url.optional(),
    headers: McpHeaders.optional(),
    enabled: z.boolean().optional(),
    approval: ToolApproval.optional(),
    effect: ToolEffect.optional(),
  })
  .meta({ id: "UpdateMcpServer" });
export type UpdateMcpServer = z.infer<typeof UpdateMcpServer>;

export const AcceptMcpChanges = z.strictObject({ hash: z.string().max(128) }).meta({ id: "AcceptMcpChanges" });
export type AcceptMcpChanges = z.infer<typeof AcceptMcpChanges>;
