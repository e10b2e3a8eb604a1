import type { Message } from "@cortex/contracts";
import { type AgentMessage, type ToolMessage, toolMessage } from "../messages.ts";

/** Stands where a result should: the run that made the call ended before it was recorded. */
const lostResult = "No result was recorded for this call. It is not known whether it happened.";

/** A stored message as the engine takes it. */
export const fromStored = (message: Message): AgentMessage => {
  const { id } = message;
  switch (message.role) {
    case "user":
      return { id, role: "user", content: message.content };
    case "assistant":
      return {
        id,
        role: "assistant",
        content: message.content,
        tool_calls: message.tool_calls ?? [],
        status: message.status,
      };
    case "tool":
      return { id, role: "tool", content: message.content, tool_call_id: message.tool_call_id ?? "" };
  }
};

/**
 * A conversation that every provider accepts, in the order in which they want it: each assistant message with calls is followed by
 * exactly one result per call, wherever the results were stored (a user may write while tools run) and also where one was lost.
 * Results without a call and messages without any content are left out. The stored messages are never touched.
 */
export const wellFormedHistory = (messages: readonly AgentMessage[]): AgentMessage[] => {
  const results = new Map<string, ToolMessage[]>();
  for (const message of messages) {
    if (message.role !== "tool") continue;
    const known = results.get(message.tool_call_id);
    if (known) known.push(message);
    else results.set(message.tool_call_id, [message]);
  }

  const history: AgentMessage[] = [];
  for (const message of messages) {
    if (message.role === "tool") continue;
    if (message.role === "user") {
      if (message.content.length > 0) history.push(message);
      continue;
    }
    if (message.content.length === 0 && message.tool_calls.length === 0) continue;
    history.push(message);
    for (const call of message.tool_calls) {
      history.push(results.get(call.id)?.shift() ?? toolMessage(call.id, lostResult));
    }
  }
  return history;
};
