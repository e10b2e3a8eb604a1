import type { Answer } from "../answer.ts";
import type { Directives } from "../directives.ts";
import { type ChatRequest, MODEL_NAME } from "../request/chat-request.ts";
import { contentFrames, createFrames } from "./frames.ts";
import { usageOf } from "./usage.ts";

export interface WholeAnswer {
  id: string;
  created: number;
  request: ChatRequest;
  answer: Answer;
  directives: Directives;
}

/** The answer to a request without `stream`: one `chat.completion` that counts the same tokens as its stream would. */
export function wholeAnswer({ id, created, request, answer, directives }: WholeAnswer): {
  body: object;
  chunks: number;
} {
  const limit = request.maxTokens ?? Infinity;
  const reasoning = [...answer.reasoning];
  const words = [...answer.text];
  const text = words.slice(0, Math.max(0, limit - reasoning.length)).join("");
  const frames = createFrames({ id, created, includeUsage: false });
  const argumentChunks = [...contentFrames({ ...answer, reasoning: [], text: [] }, frames, directives.chunk)].length;
  const wanted = reasoning.length + words.length + argumentChunks;
  const chunks = Math.min(wanted, limit);
  const calls = answer.calls.map((call) => ({
    id: call.id,
    type: "function",
    function: { name: call.name, arguments: call.arguments },
  }));
  const message = {
    role: "assistant",
    content: text === "" && calls.length > 0 ? null : text,
    refusal: null,
    ...(reasoning.length > 0 ? { reasoning_content: reasoning.slice(0, limit).join("") } : {}),
    ...(calls.length > 0 && wanted <= limit ? { tool_calls: calls } : {}),
  };
  const finish = wanted > limit ? "length" : answer.finish;
  const body = {
    id,
    object: "chat.completion",
    created,
    model: MODEL_NAME,
    system_fingerprint: "scripted",
    choices: [{ index: 0, message, logprobs: null, finish_reason: finish }],
    ...(directives.usage ? { usage: usageOf(request, directives, chunks) } : {}),
  };
  return { body, chunks };
}
