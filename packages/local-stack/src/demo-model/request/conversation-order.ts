import { invalidRequest } from "../model-error.ts";
import type { ChatMessage } from "./messages.ts";

/**
 * The order of roles that every provider accepts, which is less than OpenAI itself does: instructions first, then a user message,
 * each tool call answered exactly once and at once, and the last word not the assistant's. An engine that keeps to it can be
 * pointed at any model; one that does not fails here rather than at the first customer with another provider.
 * Throws `ModelError` (400).
 */
export function checkConversation(messages: readonly ChatMessage[]): void {
  let unanswered = new Set<string>();
  let begun = false;
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    if (message.role === "tool") {
      if (!unanswered.delete(message.callId)) {
        throw invalidRequest(
          `${at}.tool_call_id`,
          `Invalid '${at}': a message with role 'tool' must be a response to a preceding message with 'tool_calls', once per call. ` +
            `No open call has the id '${message.callId}'.`,
        );
      }
      continue;
    }
    requireAnswered(unanswered, at);
    if (message.role === "system") {
      if (begun) throw invalidRequest(`${at}.role`, `Invalid '${at}': instructions must come before the conversation.`);
      continue;
    }
    if (!begun && message.role !== "user") {
      throw invalidRequest(`${at}.role`, `Invalid '${at}': the conversation must begin with a message of role 'user'.`);
    }
    begun = true;
    if (message.role === "assistant") unanswered = callIds(message.calls, at);
  }
  requireAnswered(unanswered, "the end of the conversation");
  if (!begun) throw invalidRequest("messages", "Invalid 'messages': there is no message with role 'user'.");
  if (messages.at(-1)?.role === "assistant") {
    throw invalidRequest("messages", "Invalid 'messages': the last message must not be the assistant's.");
  }
}

function callIds(calls: readonly { id: string }[], at: string): Set<string> {
  const ids = new Set(calls.map((call) => call.id));
  if (ids.size === calls.length) return ids;
  throw invalidRequest(`${at}.tool_calls`, `Invalid '${at}.tool_calls': each call needs an id of its own.`);
}

function requireAnswered(unanswered: ReadonlySet<string>, at: string): void {
  if (unanswered.size === 0) return;
  throw invalidRequest(
    "messages",
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. " +
      `Before ${at} these had no response: ${[...unanswered].join(", ")}.`,
  );
}
