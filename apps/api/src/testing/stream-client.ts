import type { ApiUnderTest, Person } from "./api-under-test.ts";

/** One frame as it came over the wire. */
export interface Frame {
  id: string | null;
  event: string | null;
  data: string;
}

/** An open stream of a run. */
export interface OpenStream {
  response: Response;
  /** The next frame; null when the server has closed. Comments and `retry` are passed over. */
  next(): Promise<Frame | null>;
  /** Everything that came so far, comments included. */
  text(): string;
  /** Until the server closes. */
  rest(): Promise<Frame[]>;
  abort(): void;
}

const parseFrame = (block: string): Frame | null => {
  const frame: Frame = { id: null, event: null, data: "" };
  for (const line of block.split("\n")) {
    if (line.startsWith("id: ")) frame.id = line.slice(4);
    if (line.startsWith("event: ")) frame.event = line.slice(7);
    if (line.startsWith("data: ")) frame.data += line.slice(6);
  }
  return frame.data === "" ? null : frame;
};

export const openStream = async (
  api: ApiUnderTest,
  input: { runId: string; as?: Person; lastEventId?: string; query?: string; url?: string },
): Promise<OpenStream> => {
  const abort = new AbortController();
  const response = await fetch(`${input.url ?? api.url}/api/agent-run/${input.runId}/stream${input.query ?? ""}`, {
    headers: {
      ...(input.as ? { authorization: `Bearer ${input.as.token}` } : {}),
      ...(input.lastEventId === undefined ? {} : { "last-event-id": input.lastEventId }),
    },
    signal: abort.signal,
  });
  // A refusal is left to the caller to read.
  const reader = response.status === 200 ? response.body?.pipeThrough(new TextDecoderStream()).getReader() : undefined;
  let text = "";
  /** What of it is no frame yet: searched, so kept short. */
  let left = "";
  const next = async (): Promise<Frame | null> => {
    for (;;) {
      const end = left.indexOf("\n\n");
      if (end !== -1) {
        const frame = parseFrame(left.slice(0, end));
        left = left.slice(end + 2);
        if (frame) return frame;
        continue;
      }
      const piece = await reader?.read();
      if (!piece || piece.done) return null;
      text += piece.value;
      left += piece.value;
    }
  };
  return {
    response,
    next,
    text: () => text,
    rest: async () => {
      const frames: Frame[] = [];
      for (let frame = await next(); frame; frame = await next()) frames.push(frame);
      return frames;
    },
    abort: () => abort.abort(),
  };
};
