import type OpenAI from "openai";
import type { ChatCompletionMessageParam, ChatCompletionTool } from "openai/resources/chat/completions";

/** A tool as a test plays it: its schema for the model, and what it gives back. */
export interface PlayedTool {
  name: string;
  properties: Record<string, { type: string }>;
  run: (args: Record<string, string>) => string;
}

export interface PlayedTurn {
  answer: string;
  calls: { name: string; arguments: string }[];
  requests: number;
}

/** More answers than any scene has; a script that never ends must fail a test, not hang it. */
const MAX_ANSWERS = 8;

/** Plays one turn as an engine would: ask, run the tools, ask again, until an answer comes without calls. */
export async function playTurn(client: OpenAI, prompt: string, tools: readonly PlayedTool[]): Promise<PlayedTurn> {
  const messages: ChatCompletionMessageParam[] = [
    { role: "system", content: "You are a test." },
    { role: "user", content: prompt },
  ];
  const calls: PlayedTurn["calls"] = [];
  for (let requests = 1; requests <= MAX_ANSWERS; requests += 1) {
    const stream = client.chat.completions.stream({
      model: "demo",
      messages,
      ...(tools.length > 0 ? { tools: tools.map(toolParameter) } : {}),
    });
    const message = (await stream.finalChatCompletion()).choices[0]?.message;
    if (message === undefined) throw new Error("The answer has no choice.");
    const asked = (message.tool_calls ?? []).filter((call) => call.type === "function");
    if (asked.length === 0) return { answer: message.content ?? "", calls, requests };
    const tool_calls = asked.map(({ id, function: { name, arguments: args } }) => ({
      id,
      type: "function" as const,
      function: { name, arguments: args },
    }));
    messages.push({ role: "assistant", content: message.content, tool_calls });
    for (const { id, function: call } of tool_calls) {
      calls.push(call);
      const tool = tools.find(({ name }) => name === call.name);
      messages.push({
        role: "tool",
        tool_call_id: id,
        content: tool?.run(JSON.parse(call.arguments) as Record<string, string>) ?? "Error: unknown tool",
      });
    }
  }
  throw new Error(`No end after ${MAX_ANSWERS} answers.`);
}

function toolParameter({ name, properties }: PlayedTool): ChatCompletionTool {
  return { type: "function", function: { name, parameters: { type: "object", properties } } };
}
