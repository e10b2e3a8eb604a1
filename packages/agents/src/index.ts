export { changeAgent, deleteAgent } from "./change-agent.ts";
export { compareVersions } from "./compare-versions.ts";
export { createAgent, createVersion } from "./create-agent.ts";
export { getAgent, listAgents } from "./read-agents.ts";
export { getVersions, listVersions } from "./read-versions.ts";
export { type AgentForRun, resolveAgentForRun } from "./resolve-agent.ts";
export { accountPlace, agentPlace, type ToolsPlace } from "./tools-place.ts";
export { effectiveTool, type ToolInEffect, type ToolRules, type ToolSetting } from "./effective-tool.ts";
export {
  changeToolSettings,
  readToolSettingsForRun,
  resetToolSettings,
  type ToolsForRun,
  toolSettingsOf,
} from "./tool-settings.ts";
export { type AskedServer, type OfferedTools, type RefreshDeps, refreshMcpServer } from "./mcp/refresh-server.ts";
export { openHeaders } from "./mcp/sealed-headers.ts";
export {
  acceptMcpChanges,
  changeMcpServer,
  createMcpServer,
  deleteMcpServer,
  getMcpServer,
  listMcpServers,
} from "./mcp/servers.ts";
export { listMcpTools } from "./mcp/manifests.ts";
export { type McpServerForRun, mcpServersOf } from "./mcp/servers-for-run.ts";
