export type {
  AgentDeps,
  AgentHooks,
  AgentInput,
  AgentLimits,
  AgentOutcome,
  AgentTotals,
  ContextSettings,
  ContextSummary,
  InterruptedAnswer,
  PendingToolCall,
  ToolSet,
} from "./agent.ts";
export { fromStored } from "./context/history.ts";
export { discoverTools } from "./discover-tools.ts";
export { ModelError, ToolFailure } from "./errors.ts";
export type { AgentEvent, CompletedAnswer, ContextCompacted, LiveEvent, ModelCompleted, ToolClaim } from "./events.ts";
export { type AgentMessage, textOf, type ToolImage, userMessage } from "./messages.ts";
export type { FinishReason, Model, ModelEvent, ModelParameters, ModelRequest, ToolDeclaration } from "./model.ts";
export { createOpenAiModel, type OpenAiModel, type OpenAiModelOptions } from "./models/openai.ts";
export { runAgent } from "./run-agent.ts";
export { defineForeignTool, defineTool, type ForeignToolDefinition, type Tool, type ToolDefinition } from "./tool.ts";
export type { UnfinishedCall } from "./tool-calls.ts";
export type { ExposePort, StoredText, ToolAnswer, ToolContext, ToolOutcome } from "./tool-context.ts";
export { callsToolsInText } from "./xml/tool-calling.ts";
export { withXmlTools, type XmlToolsOptions } from "./xml/with-xml-tools.ts";
export { createBraveSearch } from "./web/brave.ts";
export { openWeb } from "./web/open-web.ts";
export type { FoundPage, Recency, SearchProvider, SearchQuery } from "./web/search.ts";
export { createTavilySearch } from "./web/tavily.ts";
export type { Web } from "./web/web.ts";
