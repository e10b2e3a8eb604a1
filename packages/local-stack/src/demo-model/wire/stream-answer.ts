import type { ServerResponse } from "node:http";
import type { Answer } from "../answer.ts";
import type { Directives, Fault } from "../directives.ts";
import type { ChatRequest } from "../request/chat-request.ts";
import { DONE_FRAME, type Frames, GARBAGE_FRAME, contentFrames, createFrames } from "./frames.ts";
import { createOutlet, gone } from "./outlet.ts";
import { usageOf } from "./usage.ts";

/** A fault that strikes inside a stream. */
export type StreamFault = Extract<Fault, { after: number }>;

export interface StreamedAnswer {
  id: string;
  created: number;
  request: ChatRequest;
  answer: Answer;
  directives: Directives;
  fault: StreamFault | null;
  /** Milliseconds between chunks where the prompt does not say. */
  delayMs: number;
}

/**
 * Chunks per write without a delay. One write is one packet and one wake-up of the reader, so it decides the throughput; the
 * first chunk goes out alone, so it does not touch the time to the first token.
 */
const BATCH = 64;

/** Streams an answer to its end or to its fault. Resolves when nothing more will be sent; never rejects for a client that left. */
export async function streamAnswer(response: ServerResponse, input: StreamedAnswer): Promise<{ chunks: number }> {
  const { request, answer, directives, fault } = input;
  const outlet = createOutlet(response);
  const includeUsage = request.includeUsage && directives.usage;
  const frames = createFrames({ id: input.id, created: input.created, includeUsage });
  const delayMs = directives.delayMs ?? input.delayMs;
  const batchSize = delayMs > 0 ? 1 : (directives.batch ?? BATCH);
  const limit = Math.min(fault?.after ?? Infinity, request.maxTokens ?? Infinity);
  const started = performance.now();
  let batch = frames.role();
  let chunks = 0;
  let cutShort = false;
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
  for (const frame of contentFrames(answer, frames, directives.chunk)) {
    if (chunks >= limit) {
      cutShort = true;
      break;
    }
    // Each chunk has its time from the start, so that a late timer delays one chunk and not all that follow.
    if (delayMs > 0 && chunks > 0) await outlet.waitUntil(started + chunks * delayMs);
    batch += frame;
    chunks += 1;
    if (chunks > 1 && chunks % batchSize !== 0) continue;
    await outlet.write(batch);
    batch = "";
    if (outlet.signal.aborted) return { chunks };
  }
  if (fault !== null) {
    await outlet.write(batch);
    await strike(response, fault, frames, outlet.signal);
    return { chunks };
  }
  batch += frames.finish(cutShort ? "length" : answer.finish);
  if (includeUsage) batch += frames.usage(usageOf(request, directives, chunks));
  response.end(batch + DONE_FRAME);
  return { chunks };
}

async function strike(
  response: ServerResponse,
  fault: StreamFault,
  frames: Frames,
  signal: AbortSignal,
): Promise<void> {
  switch (fault.kind) {
    case "cut":
      response.destroy();
      return;
    case "eof":
      response.end();
      return;
    case "garbage":
      response.end(GARBAGE_FRAME);
      return;
    case "errorframe":
      response.end(frames.error());
      return;
    case "stall":
      await gone(signal);
  }
}
