import type { MessagePart } from "@cortex/contracts";
import { type AgentMessage, type AssistantMessage, textContent, textOf } from "../messages.ts";
import { type FindTool, renderCall, renderResult } from "./render.ts";
import type { XmlTags } from "./syntax.ts";

const asText = (tags: XmlTags, message: AssistantMessage, find: FindTool): AssistantMessage => {
  const calls = message.tool_calls.map((call) => renderCall(tags, call, find));
  const text = [textOf(message.content).trimEnd(), ...calls].filter((part) => part !== "").join("\n\n");
  return { ...message, content: textContent(text), tool_calls: [] };
};

/**
 * The conversation without tool calls and results: calls as the text that makes them, results as messages of the user. Neighbours of the same
 * role become one, because models without tool calls are often strict about taking turns.
 */
export const asPlainConversation = (
  tags: XmlTags,
  messages: readonly AgentMessage[],
  find: FindTool,
): AgentMessage[] => {
  const names = new Map<string, string>();
  const plain: AgentMessage[] = [];
  const addUser = (content: readonly MessagePart[]) => {
    const last = plain.at(-1);
    if (last?.role === "user") plain[plain.length - 1] = { role: "user", content: [...last.content, ...content] };
    else plain.push({ role: "user", content });
  };
  for (const message of messages) {
    if (message.role === "user") addUser(message.content);
    else if (message.role === "assistant") {
      for (const call of message.tool_calls) names.set(call.id, call.name);
      plain.push(asText(tags, message, find));
    } else {
      // What is no text (a picture that a tool made) stands behind the result that it belongs to.
      const others = message.content.filter((part) => part.type !== "text");
      const result = renderResult(tags, names.get(message.tool_call_id) ?? "", textOf(message.content));
      addUser([...textContent(result), ...others]);
    }
  }
  return plain;
};
