import type { Directives } from "../directives.ts";
import type { ChatRequest } from "../request/chat-request.ts";
import type { Usage } from "./frames.ts";

/** One chunk counts as one token, so `[[tokens=500]]` is also 500 completion tokens. */
export function usageOf({ promptTokens }: ChatRequest, { cached, reasoning }: Directives, chunks: number): Usage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: chunks,
    total_tokens: promptTokens + chunks,
    prompt_tokens_details: { cached_tokens: Math.min(cached, promptTokens) },
    completion_tokens_details: { reasoning_tokens: Math.min(reasoning, chunks) },
  };
}
