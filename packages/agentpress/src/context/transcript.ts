import { type AgentMessage, textOf } from "../messages.ts";
import { shorten } from "../storable.ts";

/** Characters of one message that the writer of a summary gets to see; of a result, whose text can be had again, fewer. */
const maxMessageChars = 12_000;
const maxResultChars = 2_000;
const maxArgumentChars = 1_000;

const lineOf = (message: AgentMessage): string => {
  const text = textOf(message.content);
  const others = message.content.flatMap((part) => {
    if (part.type === "image") return ["[a picture]"];
    return part.type === "file" ? [`[file ${part.path}]`] : [];
  });
  switch (message.role) {
    case "user": {
      const who = message.origin === "summary" ? "earlier summary" : "user";
      return [`[${who}]`, shorten(text, maxMessageChars), ...others].join("\n");
    }
    case "tool":
      return [`[result of ${message.tool_call_id}]`, shorten(text, maxResultChars), ...others].join("\n");
    case "assistant": {
      const calls = message.tool_calls.map(
        (call) => `[call ${call.id}: ${call.name} ${shorten(JSON.stringify(call.arguments), maxArgumentChars)}]`,
      );
      return ["[assistant]", ...(text === "" ? [] : [shorten(text, maxMessageChars)]), ...calls].join("\n");
    }
  }
};

/** A part of a conversation as text, for a model that writes its summary. */
export const transcriptOf = (messages: readonly AgentMessage[], maxChars: number): string =>
  shorten(messages.map(lineOf).join("\n\n"), maxChars);
