export type { McpAnswer } from "./call-result.ts";
export { readInputSchema, type InputSchema } from "./input-schema.ts";
export { listingHash, type McpListing, type McpToolDeclaration } from "./listing.ts";
export { McpError, type McpErrorCode } from "./mcp-error.ts";
export { createMcpSource, type McpCall, type McpSource } from "./mcp-source.ts";
export type { McpAddress } from "./server-connection.ts";
export { nameTools } from "./tool-name.ts";
