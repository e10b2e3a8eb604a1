import type { MessagePart, ToolCallRequest } from "@cortex/contracts";
import type { OpenAI } from "openai";
import { type AgentMessage, textOf, type ToolMessage, type UserMessage } from "../messages.ts";
import type { ModelRequest } from "../model.ts";
import { withCacheMarks } from "./cache-marks.ts";

type Chat = OpenAI.Chat.Completions.ChatCompletionCreateParamsStreaming;
type ChatMessage = OpenAI.Chat.Completions.ChatCompletionMessageParam;
type UserPart = OpenAI.Chat.Completions.ChatCompletionContentPart;

const sizeOf = (size: number | undefined): string => (size === undefined ? "" : `, ${size} bytes`);

const userPart = (part: MessagePart): UserPart => {
  switch (part.type) {
    case "text":
      return { type: "text", text: part.text };
    case "image":
      return { type: "image_url", image_url: { url: part.url } };
    case "file":
      // The model reads it with a tool; its content may be far longer than a prompt.
      return { type: "text", text: `[File "${part.name}" at ${part.path}${sizeOf(part.size)}]` };
  }
};

const userContent = (message: UserMessage): string | UserPart[] => {
  const [only] = message.content;
  return message.content.length === 1 && only?.type === "text" ? only.text : message.content.map(userPart);
};

/**
 * Endpoints that translate for other providers parse the arguments of earlier calls and fail on anything but an object, so what the
 * model once wrote wrongly goes back to it inside one.
 */
const argumentsText = (args: ToolCallRequest["arguments"]): string =>
  JSON.stringify(args !== null && typeof args === "object" && !Array.isArray(args) ? args : { unreadable: args });

/** What endpoints take for the name of a function; a model may have written anything, and one bad name would have every later request refused. */
const callName = (name: string): string => name.replace(/[^\w-]/g, "_").slice(0, 64) || "unnamed";

const textMessage = (message: Exclude<AgentMessage, { role: "user" }>): ChatMessage => {
  if (message.role === "tool") {
    return { role: "tool", tool_call_id: message.tool_call_id, content: textOf(message.content) };
  }
  const content = textOf(message.content);
  if (message.tool_calls.length === 0) return { role: "assistant", content };
  return {
    role: "assistant",
    content: content === "" ? null : content,
    tool_calls: message.tool_calls.map((call) => ({
      id: call.id,
      type: "function",
      function: { name: callName(call.name), arguments: argumentsText(call.arguments) },
    })),
  };
};

/** Results are text here; the pictures of a step's results stand behind all of them, in a message of their own. */
const picturesOf = (results: readonly ToolMessage[]): ChatMessage[] => {
  const parts = results.flatMap((message) => {
    const pictures = message.content.filter((part) => part.type === "image");
    const label = { type: "text" as const, text: `[Shown by the call ${message.tool_call_id}:]` };
    return pictures.length === 0 ? [] : [label, ...pictures.map(userPart)];
  });
  return parts.length === 0 ? [] : [{ role: "user", content: parts }];
};

const chatMessages = (messages: readonly AgentMessage[]): ChatMessage[] => {
  const chat: ChatMessage[] = [];
  let results: ToolMessage[] = [];
  for (const message of messages) {
    if (message.role === "tool") results.push(message);
    else {
      chat.push(...picturesOf(results));
      results = [];
    }
    chat.push(message.role === "user" ? { role: "user", content: userContent(message) } : textMessage(message));
  }
  return [...chat, ...picturesOf(results)];
};

/** The body of a streaming chat completion. The order of everything is stable, so that providers can cache the beginning. */
export const chatBody = (request: ModelRequest): Chat => {
  const { temperature, topP, maxOutputTokens, reasoningEffort } = request.parameters;
  const system: ChatMessage[] = request.instructions === "" ? [] : [{ role: "system", content: request.instructions }];
  const messages = [...system, ...chatMessages(request.messages)];
  return {
    model: request.model,
    messages: request.promptCache === "explicit" ? withCacheMarks(messages) : messages,
    ...(request.tools.length === 0
      ? {}
      : {
          tools: request.tools.map(({ name, description, parameters }) => ({
            type: "function" as const,
            function: { name, description, parameters },
          })),
        }),
    stream: true,
    stream_options: { include_usage: true },
    ...(temperature === undefined ? {} : { temperature }),
    ...(topP === undefined ? {} : { top_p: topP }),
    // The older name: every endpoint knows it, and proxies translate it for models that want the newer one.
    ...(maxOutputTokens === undefined ? {} : { max_tokens: maxOutputTokens }),
    ...(reasoningEffort === undefined ? {} : { reasoning_effort: reasoningEffort }),
  };
};
