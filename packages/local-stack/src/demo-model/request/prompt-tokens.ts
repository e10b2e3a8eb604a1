import type { ChatMessage } from "./messages.ts";
import type { OfferedTool } from "./tools.ts";

/** The usual rule of thumb for English. The figure only has to be plausible, repeatable and growing with the conversation. */
const CHARACTERS_PER_TOKEN = 4;
/** What a chat template adds around each message. */
const TOKENS_PER_MESSAGE = 4;

/** Estimates the tokens of the prompt; the same conversation always counts the same. */
export function promptTokens(messages: readonly ChatMessage[], tools: readonly OfferedTool[]): number {
  let characters = tools.length === 0 ? 0 : JSON.stringify(tools).length;
  for (const message of messages) {
    characters += message.text.length;
    if (message.role !== "assistant") continue;
    for (const call of message.calls) characters += call.name.length + call.arguments.length;
  }
  return messages.length * TOKENS_PER_MESSAGE + Math.ceil(characters / CHARACTERS_PER_TOKEN);
}
