import type { Answer, PlannedCall } from "../answer.ts";
import type { FinishReason } from "../directives.ts";
import { MODEL_NAME } from "../request/chat-request.ts";

/** Usage as the API reports it. */
export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  total_tokens: number;
  prompt_tokens_details: { cached_tokens: number };
  completion_tokens_details: { reasoning_tokens: number };
}

/** Makes the frames of one streamed answer: server-sent events with a `chat.completion.chunk` each. */
export interface Frames {
  role(): string;
  reasoning(text: string): string;
  text(text: string): string;
  callHead(index: number, call: PlannedCall): string;
  callArguments(index: number, piece: string): string;
  finish(reason: FinishReason): string;
  usage(usage: Usage): string;
  error(): string;
}

export const DONE_FRAME = "data: [DONE]\n\n";
/** A frame as a broken proxy leaves it: cut off inside its JSON. */
export const GARBAGE_FRAME = 'data: {"id": "chatcmpl-x", "choi\n\n';

/**
 * All that is equal in the frames of an answer is serialised once; a chunk costs one small `JSON.stringify` and one concatenation,
 * which keeps this server out of the figures of a benchmark. With `includeUsage` every chunk carries `usage: null`, as OpenAI's do.
 */
export function createFrames(input: { id: string; created: number; includeUsage: boolean }): Frames {
  const base = JSON.stringify({
    id: input.id,
    object: "chat.completion.chunk",
    created: input.created,
    model: MODEL_NAME,
    system_fingerprint: "scripted",
  }).slice(0, -1);
  const head = `data: ${base},"choices":[{"index":0,"delta":`;
  const usageNull = input.includeUsage ? `,"usage":null` : "";
  const tail = `,"logprobs":null,"finish_reason":null}]${usageNull}}\n\n`;
  const toolHead = `${head}{"tool_calls":[{"index":`;
  return {
    role: () => `${head}{"role":"assistant","content":""}${tail}`,
    reasoning: (text) => `${head}{"reasoning_content":${JSON.stringify(text)}}${tail}`,
    text: (text) => `${head}{"content":${JSON.stringify(text)}}${tail}`,
    callHead: (index, { id, name }) =>
      `${toolHead}${index},"id":"${id}","type":"function","function":{"name":${JSON.stringify(name)},"arguments":""}}]}${tail}`,
    callArguments: (index, piece) => `${toolHead}${index},"function":{"arguments":${JSON.stringify(piece)}}}]}${tail}`,
    finish: (reason) => `${head}{},"logprobs":null,"finish_reason":"${reason}"}]${usageNull}}\n\n`,
    usage: (usage) => `data: ${base},"choices":[],"usage":${JSON.stringify(usage)}}\n\n`,
    error: () => `data: ${JSON.stringify({ error: STREAM_ERROR })}\n\n`,
  };
}

/** How LiteLLM reports a fault of the upstream when the headers are long gone. */
const STREAM_ERROR = {
  message: "APIConnectionError: the upstream died",
  type: "internal_server_error",
  param: null,
  code: "500",
};

/** Characters of a tool call's arguments per chunk, unless the prompt says otherwise. */
const ARGUMENT_PIECE = 12;

/** The frames that carry something, one by one. Several calls take turns, as parallel calls do on the real wire. */
export function* contentFrames(answer: Answer, frames: Frames, chunk: number | null): Generator<string> {
  for (const text of answer.reasoning) yield frames.reasoning(text);
  for (const text of answer.text) yield frames.text(text);
  for (const [index, call] of answer.calls.entries()) yield frames.callHead(index, call);
  const size = chunk ?? ARGUMENT_PIECE;
  const longest = Math.max(0, ...answer.calls.map((call) => call.arguments.length));
  for (let at = 0; at < longest; at += size) {
    for (const [index, call] of answer.calls.entries()) {
      if (at < call.arguments.length) yield frames.callArguments(index, call.arguments.slice(at, at + size));
    }
  }
}
