import type { Json } from "../model-error.ts";
import { isObject } from "../model-error.ts";
import type { ChatMessage, ToolCall } from "./messages.ts";
import type { OfferedTool } from "./tools.ts";

/** What a conversation says whose tools stand in its instructions, in the words of one that has tool calls. */
export interface TextTools {
  /** What the tags of calls carry. */
  mark: string;
  tools: OfferedTool[];
  messages: ChatMessage[];
}

const toolOf = (line: string): OfferedTool[] => {
  if (!line.startsWith('{"name":')) return [];
  const tool = JSON.parse(line) as Json;
  if (!isObject(tool) || typeof tool["name"] !== "string") return [];
  return [
    {
      name: tool["name"],
      parameters: isObject(tool["parameters"] ?? null) ? (tool["parameters"] as OfferedTool["parameters"]) : {},
    },
  ];
};

/** The calls of an answer by their names; a script builds on nothing else of them. */
function readAnswer(text: string, mark: string, nextId: () => string): ChatMessage {
  const call = new RegExp(`<call-${mark} name="([^"]*)">`, "g");
  const calls = [...text.matchAll(call)].map(([, name = ""]): ToolCall => ({ id: nextId(), name, arguments: "{}" }));
  return { role: "assistant", text, calls };
}

/** A message of the user: the results of the last calls, in their order, and then what the user says, if anything. */
function readUser(message: Extract<ChatMessage, { role: "user" }>, mark: string, open: ToolCall[]): ChatMessage[] {
  const result = new RegExp(`<result-${mark}(-\\d+)? name="[^"]*">\\n([^]*?)\\n</result-${mark}\\1>\\n?`, "g");
  const results = [...message.text.matchAll(result)].flatMap(([, , text = ""]): ChatMessage[] => {
    const call = open.shift();
    return call ? [{ role: "tool", callId: call.id, text }] : [];
  });
  const rest = message.text.replaceAll(result, "").trim();
  return results.length > 0 && rest === "" ? results : [...results, { ...message, text: rest }];
}

/** Null: the instructions teach no calls. */
export function readTextTools(messages: readonly ChatMessage[]): TextTools | null {
  const instructions = messages.flatMap((message) => (message.role === "system" ? message.text.split("\n") : []));
  const mark = /<call-([a-z0-9]{4,32}) name=/.exec(instructions.join("\n"))?.[1];
  if (mark === undefined) return null;
  let calls = 0;
  let open: ToolCall[] = [];
  const read = messages.flatMap((message): ChatMessage[] => {
    if (message.role === "user") return readUser(message, mark, open);
    if (message.role !== "assistant") return [message];
    const answer = readAnswer(message.text, mark, () => `call_${(calls += 1)}`);
    open = answer.role === "assistant" ? [...answer.calls] : [];
    return [answer];
  });
  return { mark, tools: instructions.flatMap(toolOf), messages: read };
}
