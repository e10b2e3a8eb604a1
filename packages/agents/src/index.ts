export { type AgentForRun, resolveAgentForRun } from "./resolve-agent.ts";
