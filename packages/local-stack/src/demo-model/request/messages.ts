import { type Json, type JsonObject, invalidRequest, isObject } from "../model-error.ts";
import { checkConversation } from "./conversation-order.ts";

/** One call that an earlier answer made; `arguments` is the raw string, JSON or not. */
export interface ToolCall {
  id: string;
  name: string;
  arguments: string;
}

export type ChatMessage =
  | { role: "system"; text: string }
  | { role: "user"; text: string; fileNames: string[] }
  | { role: "assistant"; text: string; calls: ToolCall[] }
  | { role: "tool"; callId: string; text: string };

/** Checks each message by itself, then the conversation as a whole. Throws `ModelError` (400). */
export function parseMessages(value: Json | undefined): ChatMessage[] {
  if (value === undefined) throw invalidRequest("messages", "Missing required parameter: 'messages'.");
  if (!Array.isArray(value)) throw invalidRequest("messages", "Invalid type for 'messages': expected an array.");
  if (value.length === 0) throw invalidRequest("messages", "Invalid 'messages': at least one message is required.");
  const messages = value.map((message, index) => parseMessage(message, `messages[${index}]`));
  checkConversation(messages);
  return messages;
}

function parseMessage(value: Json, at: string): ChatMessage {
  if (!isObject(value)) throw invalidRequest(at, `Invalid type for '${at}': expected an object.`);
  switch (value["role"]) {
    case "system":
    case "developer":
      return { role: "system", text: requiredText(value, at) };
    case "user":
      return { role: "user", text: requiredText(value, at), fileNames: fileNames(value["content"]) };
    case "assistant":
      return parseAssistant(value, at);
    case "tool":
      return { role: "tool", callId: requiredString(value, "tool_call_id", at), text: requiredText(value, at) };
    default:
      throw invalidRequest(
        `${at}.role`,
        `Invalid value for '${at}.role': expected one of 'system', 'developer', 'user', 'assistant' and 'tool'.`,
      );
  }
}

function parseAssistant(message: JsonObject, at: string): ChatMessage {
  const calls = parseCalls(message["tool_calls"], `${at}.tool_calls`);
  const content = message["content"];
  if ((content === undefined || content === null) && calls.length === 0) {
    throw invalidRequest(`${at}.content`, `Invalid '${at}.content': it may be null only beside 'tool_calls'.`);
  }
  const text = content === undefined || content === null ? "" : contentText(content, `${at}.content`);
  return { role: "assistant", text, calls };
}

function parseCalls(value: Json | undefined, at: string): ToolCall[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value) || value.length === 0) {
    throw invalidRequest(at, `Invalid '${at}': expected an array with at least one call (leave it out instead).`);
  }
  return value.map((call, index) => {
    const here = `${at}[${index}]`;
    if (!isObject(call) || call["type"] !== "function" || !isObject(call["function"])) {
      throw invalidRequest(here, `Invalid '${here}': expected {"id", "type": "function", "function": {…}}.`);
    }
    return {
      id: requiredString(call, "id", here),
      name: requiredString(call["function"], "name", `${here}.function`),
      arguments: stringAt(call["function"], "arguments", `${here}.function`),
    };
  });
}

function requiredText(message: JsonObject, at: string): string {
  const content = message["content"];
  if (content === undefined || content === null) {
    throw invalidRequest(`${at}.content`, `Missing required parameter: '${at}.content'.`);
  }
  return contentText(content, `${at}.content`);
}

/** The text of a content, be it a string or parts; parts without text (images, files) add nothing. */
function contentText(content: Json, at: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content) || content.length === 0) {
    throw invalidRequest(at, `Invalid type for '${at}': expected a string or a non-empty array of parts.`);
  }
  return content.map((part, index) => partText(part, `${at}[${index}]`)).join("\n");
}

function partText(part: Json, at: string): string {
  if (!isObject(part)) throw invalidRequest(at, `Invalid type for '${at}': expected an object.`);
  const type = part["type"];
  if (type === "text") return stringAt(part, "text", at);
  if (type === "refusal") return stringAt(part, "refusal", at);
  if (type === "image_url" || type === "input_audio" || type === "file") {
    if (!isObject(part[type])) throw invalidRequest(at, `Missing required parameter: '${at}.${type}'.`);
    return "";
  }
  throw invalidRequest(
    `${at}.type`,
    `Invalid value for '${at}.type': expected 'text', 'image_url', 'file' or 'input_audio'.`,
  );
}

function fileNames(content: Json | undefined): string[] {
  if (!Array.isArray(content)) return [];
  return content.flatMap((part) => {
    const file = isObject(part) ? part["file"] : undefined;
    const name = isObject(file) ? file["filename"] : undefined;
    return typeof name === "string" ? [name] : [];
  });
}

function requiredString(object: JsonObject, name: string, at: string): string {
  const value = stringAt(object, name, at);
  if (value === "") throw invalidRequest(`${at}.${name}`, `Invalid '${at}.${name}': expected a non-empty string.`);
  return value;
}

function stringAt(object: JsonObject, name: string, at: string): string {
  const value = object[name];
  if (value === undefined) throw invalidRequest(`${at}.${name}`, `Missing required parameter: '${at}.${name}'.`);
  if (typeof value !== "string") {
    throw invalidRequest(`${at}.${name}`, `Invalid type for '${at}.${name}': expected a string.`);
  }
  return value;
}
