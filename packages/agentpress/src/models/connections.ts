import { Agent, fetch as undiciFetch, type Response as UndiciResponse } from "undici";

/** Tool calls between two model calls take seconds; a connection that waits for them saves the next step its handshake. */
const keepAliveMs = 60_000;

/** An answer beyond any model's: an endpoint that sends for ever must not fill memory. Above `maxAnswerChars` with its framing. */
const maxResponseBytes = 256 * 1024 * 1024;

/** How long the end of a body may take after its last event; then the connection is given up. */
const maxDrainMs = 1_000;

export interface Connections {
  fetch: typeof fetch;
  close(): Promise<void>;
}

/** Reads a body to its end and forgets it. Never rejects. */
const drain = async (reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> => {
  const impatience = setTimeout(() => reader.cancel().catch(() => undefined), maxDrainMs);
  const next = (): Promise<boolean> =>
    reader.read().then(
      ({ done }) => !done,
      // The connection broke or the request was aborted: there is nothing left to save.
      () => false,
    );
  for (let more = true; more;) more = await next();
  clearTimeout(impatience);
};

/**
 * The same response, whose body is drained when its reader has had enough. The SDK cancels the body at `[DONE]`, and a cancelled body
 * costs the connection; but servers write the end of the body after that marker (uvicorn, so LiteLLM, in a packet of its own), so every
 * step would begin with a handshake.
 */
const drainedAtLeave = (response: UndiciResponse, drains: Set<Promise<void>>): Response => {
  const { status, statusText, body } = response;
  const headers = [...response.headers];
  if (!body) return new Response(null, { status, statusText, headers });
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  const passing = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: () => {
        const drained = drain(reader).finally(() => drains.delete(drained));
        drains.add(drained);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(passing, { status, statusText, headers });
};

/**
 * The connections to one endpoint. Node's own `fetch` shares one agent with the whole process, which drops an idle connection after
 * four seconds and has no limit for connecting that could be set.
 */
export const openConnections = (connectMs: number): Connections => {
  const drains = new Set<Promise<void>>();
  const agent = new Agent({
    connect: { timeout: connectMs },
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: keepAliveMs,
    maxResponseSize: maxResponseBytes,
    // Silence is the watchdog's business.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  // A redirect is not followed: key and conversation go to this endpoint and nowhere else.
  // The package and the global types declare one standard twice, and the two do not mix.
  const fetchHere = async (input: string | URL, init?: object): Promise<Response> =>
    drainedAtLeave(await undiciFetch(input, { ...init, redirect: "manual", dispatcher: agent }), drains);
  return {
    fetch: fetchHere as typeof fetch,
    close: async () => {
      await agent.destroy();
      await Promise.all(drains);
    },
  };
};
