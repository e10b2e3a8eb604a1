import { UnexpectedAnswerError } from "../failures.ts";
import { brokenOff, type Connection, type HttpRequest, sendOnce } from "../http/connection.ts";
import { createDeadline, type Deadline } from "../http/deadline.ts";
import { readApiError } from "../http/problem.ts";
import { createSseParser, type SseFrame } from "./sse-parser.ts";

/** Frames that arrived together; with them the stream's `retry:`. Never empty. */
export interface FrameBatch {
  frames: SseFrame[];
  retryMs: number | null;
}

/**
 * Opens a stream once and gives its frames as they come. Reads only when it is asked for more, so that a slow consumer slows the sender down
 * instead of filling memory. Returns `nothing` on 204 (the cursor is at the end) and `closed` when the server closed.
 * @throws ApiError · ConnectionError when the connection breaks or is silent for `silenceMs` · UnexpectedAnswerError when this is no event
 *   stream · the signal's reason
 */
export async function* openStream(
  connection: Connection,
  input: { request: HttpRequest; silenceMs: number },
  signal: AbortSignal | null,
): AsyncGenerator<FrameBatch, "closed" | "nothing", void> {
  const deadline = createDeadline({
    ms: input.silenceMs,
    meaning: `the stream was silent for ${input.silenceMs} ms`,
    signal,
  });
  try {
    deadline.restart();
    const response = await sendOnce(connection, input.request, deadline.signal);
    if (!response.ok) throw await readApiError(response);
    if (response.status === 204) return "nothing";
    if (
      !response.headers.get("content-type")?.toLowerCase().startsWith("text/event-stream") ||
      response.body === null
    ) {
      throw new UnexpectedAnswerError(`${input.request.path}: the answer is no event stream`);
    }
    yield* batches(response.body.getReader(), deadline, input.request.path);
    return "closed";
  } finally {
    deadline.release();
  }
}

async function* batches(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  deadline: Deadline,
  what: string,
): AsyncGenerator<FrameBatch, void, void> {
  const decoder = new TextDecoder();
  const parser = createSseParser();
  for (;;) {
    deadline.restart();
    const chunk = await read(reader, deadline.signal, what);
    deadline.suspend(); // from here on it is the consumer who takes their time
    if (chunk === null) return;
    const frames = parser.push(decoder.decode(chunk, { stream: true }));
    if (frames.length > 0) yield { frames, retryMs: parser.retryMs() };
  }
}

const read = async (
  reader: ReadableStreamDefaultReader<Uint8Array>,
  signal: AbortSignal,
  what: string,
): Promise<Uint8Array | null> => {
  try {
    const { done, value } = await reader.read();
    return done ? null : value;
  } catch (error) {
    throw brokenOff(error, signal, what);
  }
};
