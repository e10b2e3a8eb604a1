export { createAgent, createVersion } from "./create-agent.ts";
export { getAgent, listAgents } from "./read-agents.ts";
export { type AgentForRun, resolveAgentForRun } from "./resolve-agent.ts";
