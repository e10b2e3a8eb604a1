import type { MessagePart, ToolCallRequest } from "@cortex/contracts";

/** One entry of the conversation as the engine sees it: a stored message without its place, its owner and its clock. */
export type AgentMessage = UserMessage | AssistantMessage | ToolMessage;

interface Identified {
  /** The stored message's id. Left out where the engine does not know it: a result that it has just made. */
  id?: string;
}

export interface UserMessage extends Identified {
  role: "user";
  /** `summary`: no user wrote it; it stands for older messages. */
  origin?: "summary";
  content: readonly MessagePart[];
}

export interface AssistantMessage extends Identified {
  role: "assistant";
  content: readonly MessagePart[];
  /** In the order in which the model asked. Empty when it only spoke. */
  tool_calls: readonly ToolCallRequest[];
  /** `interrupted`: the answer was cut; the model is told so when it reads it again. */
  status: "complete" | "interrupted";
}

export interface ToolMessage extends Identified {
  role: "tool";
  content: readonly MessagePart[];
  tool_call_id: string;
}

/** The text of a message, its other parts left out. */
export const textOf = (content: readonly MessagePart[]): string => {
  const [only] = content;
  if (content.length === 1 && only?.type === "text") return only.text;
  return content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
};

/** Text as message content; no part at all for empty text. */
export const textContent = (text: string): MessagePart[] => (text === "" ? [] : [{ type: "text", text }]);

export const userMessage = (text: string): UserMessage => ({ role: "user", content: textContent(text) });

const imagePart = ({ mediaType, data }: ToolImage): MessagePart => ({
  type: "image",
  url: `data:${mediaType};base64,${data}`,
  media_type: mediaType,
});

/** A picture that a tool shows the model. */
export interface ToolImage {
  mediaType: "image/png" | "image/jpeg" | "image/gif" | "image/webp";
  /** Base64. */
  data: string;
}

export const toolMessage = (toolCallId: string, result: string, images: readonly ToolImage[] = []): ToolMessage => ({
  role: "tool",
  content: [...textContent(result), ...images.map(imagePart)],
  tool_call_id: toolCallId,
});
