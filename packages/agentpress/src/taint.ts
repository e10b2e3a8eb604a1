import type { AgentMessage } from "./messages.ts";
import type { Tool } from "./tool.ts";

/**
 * Is there something in these messages that a stranger may have written? What a tool that this run does not know has answered may be: an earlier
 * run of the thread may have had a tool that reads the web, and leaving it out must not wash the conversation clean.
 */
export const isTainted = (messages: readonly AgentMessage[], tools: readonly Tool[]): boolean => {
  const trusted = new Set(tools.flatMap((tool) => (tool.untrusted ? [] : [tool.name])));
  return messages.some(
    (message) => message.role === "assistant" && message.tool_calls.some((call) => !trusted.has(call.name)),
  );
};
