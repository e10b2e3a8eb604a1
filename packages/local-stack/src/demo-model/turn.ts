import type { Directives } from "./directives.ts";
import { parseDirectives } from "./parse-directives.ts";
import type { ChatRequest } from "./request/chat-request.ts";
import type { ChatMessage } from "./request/messages.ts";
import type { OfferedTool } from "./request/tools.ts";

/** One finished tool call of the turn. `text` is the content of its tool message, the only thing a script may build on. */
export interface ToolResult {
  tool: string;
  text: string;
}

/**
 * Where a conversation stands: what the user said last, and what has happened since. The server keeps no state between the requests
 * of a run, so every step of a script is found again from the messages.
 */
export interface Turn {
  /** The last user message without its directives. Tool results are never searched for directives: a file must not steer the model. */
  prompt: string;
  directives: Directives;
  /** Names of the files attached to the last user message. */
  fileNames: string[];
  results: ToolResult[];
  /** Answers of this turn so far, and how many of them called tools. */
  answers: number;
  answersWithCalls: number;
  /** What it has said of an answer that it is asked to go on with; null: it is asked for a new one. */
  said: string | null;
  tools: readonly OfferedTool[];
}

/** An engine that asks for the rest of an answer which the output limit cut. It begins no turn. */
const isContinuation = ({ role, text }: ChatMessage): boolean =>
  role === "user" && text.startsWith("[Your answer was cut by the output limit.");

/** Throws `ModelError` (400) for directives that cannot be obeyed. */
export function readTurn({ messages, tools }: ChatRequest): Turn {
  const start = messages.findLastIndex((message) => message.role === "user" && !isContinuation(message));
  const user = messages[start];
  const { directives, rest } = parseDirectives(user?.text ?? "");
  const fileNames = user?.role === "user" ? user.fileNames : [];
  const [cut, last] = messages.slice(-2);
  const said = cut?.role === "assistant" && last !== undefined && isContinuation(last) ? cut.text : null;
  const begun = { results: [], answers: 0, answersWithCalls: 0 };
  const turn: Turn = { prompt: rest, directives, fileNames, ...begun, said, tools };
  const names = new Map<string, string>();
  for (const message of messages.slice(start + 1)) {
    if (message.role === "assistant") {
      turn.answers += 1;
      if (message.calls.length > 0) turn.answersWithCalls += 1;
      for (const { id, name } of message.calls) names.set(id, name);
    }
    if (message.role === "tool") turn.results.push({ tool: names.get(message.callId) ?? "", text: message.text });
  }
  return turn;
}

export function offeredTool(turn: Turn, name: string): OfferedTool | null {
  return turn.tools.find((tool) => tool.name === name) ?? null;
}

export function resultsOf(turn: Turn, ...tools: string[]): ToolResult[] {
  return turn.results.filter(({ tool }) => tools.includes(tool));
}
