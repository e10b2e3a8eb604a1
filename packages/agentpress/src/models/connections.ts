import { Agent, fetch as undiciFetch } from "undici";

/** Tool calls between two model calls take seconds; a connection that waits for them saves the next step its handshake. */
const keepAliveMs = 60_000;

/** An answer beyond any model's: an endpoint that sends for ever must not fill memory. Above `maxAnswerChars` with its framing. */
const maxResponseBytes = 256 * 1024 * 1024;

export interface Connections {
  fetch: typeof fetch;
  close(): Promise<void>;
}

/**
 * The connections to one endpoint. Node's own `fetch` shares one agent with the whole process, which drops an idle connection after
 * four seconds and has no limit for connecting that could be set.
 */
export const openConnections = (connectMs: number): Connections => {
  const agent = new Agent({
    connect: { timeout: connectMs },
    keepAliveTimeout: keepAliveMs,
    keepAliveMaxTimeout: keepAliveMs,
    maxResponseSize: maxResponseBytes,
    // Silence is the watchdog's business.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  // The package's types and the global ones describe the same standard in two declarations that do not mix.
  const fetchHere = (input: string | URL, init?: object) => undiciFetch(input, { ...init, dispatcher: agent });
  return { fetch: fetchHere as unknown as typeof fetch, close: () => agent.destroy() };
};
