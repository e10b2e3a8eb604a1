import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "@cortex/observability";
import { OpenAI } from "openai";
import { ModelError } from "../errors.ts";
import type { Model, ModelEvent, ModelRequest } from "../model.ts";
import { openConnections } from "./connections.ts";
import { readChunk } from "./openai-chunks.ts";
import { classify } from "./openai-errors.ts";
import { chatBody } from "./openai-request.ts";
import { defaultRetryPolicy, type RetryPolicy, waitBeforeRetry } from "./retry.ts";
import { defaultTimeouts, type ModelTimeouts, Watchdog } from "./watchdog.ts";

export interface OpenAiModelOptions {
  /** With its version: `http://127.0.0.1:4000/v1`. */
  baseURL: string;
  apiKey: string;
  timeouts?: Partial<ModelTimeouts>;
  retries?: Partial<RetryPolicy>;
  /** Sent with every request. */
  headers?: Readonly<Record<string, string>>;
  log?: Logger;
}

/** A model behind an endpoint. Whoever made it closes it. */
export interface OpenAiModel extends Model {
  /** Ends its connections; requests in progress fail. */
  close(): Promise<void>;
}

type Chunks = AsyncIterable<OpenAI.Chat.Completions.ChatCompletionChunk>;

const silent = (watchdog: Watchdog, phase: "request" | "answer"): ModelError =>
  new ModelError("model_timeout", {
    phase,
    detail: `silence: ${watchdog.silence}`,
    timeUsedUp: watchdog.silence === "total",
  });

/**
 * What the chunks say, as it comes. Ends without a finish when the connection ends without one: the SDK's iteration ends silently
 * both there and on an abort, so only a finish is a success.
 */
async function* readAnswer(chunks: Chunks, watchdog: Watchdog, apiKey: string): AsyncGenerator<ModelEvent, void, void> {
  const events: ModelEvent[] = [];
  let finished = false;
  try {
    for await (const chunk of chunks) {
      watchdog.heard();
      readChunk(chunk, events);
      for (const event of events) {
        // What comes after a finish belongs to the answer all the same, which is whole again with the next finish or the proper end.
        if (event.type === "finish") finished = true;
        else if (event.type !== "usage") finished = false;
        yield event;
      }
      events.length = 0;
      if (finished) watchdog.finished();
      else watchdog.waits();
    }
  } catch (error) {
    // After the finish the answer is whole, whatever becomes of the connection.
    if (!finished && watchdog.silence === null) throw classify(error, "answer", apiKey);
  }
  if (!finished && watchdog.silence !== null) throw silent(watchdog, "answer");
}

/**
 * Any endpoint that speaks streaming chat completions: LiteLLM in production, the demo model, vLLM, OpenAI itself.
 *
 * Connections are kept and shared by all requests of this model, so a step in a row pays no handshake. A request that fails before its
 * answer began is tried again here, within `retries`; after that the engine decides: to ask again, to wait without a worker, or to fail.
 */
export const createOpenAiModel = (options: OpenAiModelOptions): OpenAiModel => {
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const policy = { ...defaultRetryPolicy, ...options.retries };
  const connections = openConnections(timeouts.connectMs);
  const client = new OpenAI({
    apiKey: options.apiKey,
    baseURL: options.baseURL,
    defaultHeaders: { ...options.headers },
    fetch: connections.fetch,
    maxRetries: 0,
    // Ours are the limits; the SDK's must never be the first to fire.
    timeout: timeouts.totalMs + 60_000,
    logLevel: "off",
  });

  const open = async (
    request: ModelRequest,
    body: ReturnType<typeof chatBody>,
    watchdog: Watchdog,
  ): Promise<Chunks> => {
    try {
      return await client.chat.completions.create(body, { signal: watchdog.signal, headers: request.headers });
    } catch (error) {
      throw watchdog.silence === null ? classify(error, "request", options.apiKey) : silent(watchdog, "request");
    }
  };

  async function* stream(request: ModelRequest, signal: AbortSignal): AsyncGenerator<ModelEvent, void, void> {
    const body = chatBody(request);
    const endsAt = performance.now() + timeouts.totalMs;
    let silentTries = 0;
    let waitedMs = 0;
    for (let tries = 1; ; tries += 1) {
      const watchdog = new Watchdog({ ...timeouts, totalMs: endsAt - performance.now() }, signal);
      try {
        yield* readAnswer(await open(request, body, watchdog), watchdog, options.apiKey);
        return;
      } catch (error) {
        if (signal.aborted || !(error instanceof ModelError)) throw error;
        if (error.code === "model_timeout") silentTries += 1;
        const wait = waitBeforeRetry(policy, { error, tries, silentTries, waitedMs }, Math.random());
        if (wait === null || performance.now() + wait >= endsAt) throw error;
        options.log?.info({ code: error.code, ...error.facts, tries, wait_ms: wait }, "model request is tried again");
        waitedMs += wait;
        await delay(wait, undefined, { signal });
      } finally {
        watchdog.dispose();
      }
    }
  }

  return { name: "openai", stream, close: connections.close };
};
