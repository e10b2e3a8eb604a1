import type { Readable } from "node:stream";
import { Client } from "undici";
import { acceptedEncodings } from "./bounded-body.ts";
import { connect, type Line } from "./connect.ts";
import { EgressError } from "./egress-error.ts";
import type { Hop } from "./redirect.ts";

export interface HopAnswer {
  status: number;
  headers: Headers;
  body: Readable;
  /** There is no body, whatever the headers say. */
  empty: boolean;
  /** Ends the connection. */
  end(): void;
}

/** What belongs to the connection or to the client, not to whoever asks. */
const ours =
  /^(?:host|connection|keep-alive|transfer-encoding|content-length|upgrade|te|trailer|expect|accept-encoding|proxy-.*)$/i;

/** Above any honest header. Bytes. */
const maxHeaderBytes = 32 * 1024;

/** One request and its answer over a connection of its own, which is closed with it: a second use would be one that nobody has checked. */
export const exchange = async (
  line: Line,
  { url, request, connectMs, signal }: Hop & { connectMs: number; signal: AbortSignal },
): Promise<HopAnswer> => {
  const destination = line.guard.admit(url);
  const socket = await connect(line, { destination, secure: url.protocol === "https:", connectMs, signal });
  let used = false;
  const client = new Client(url.origin, {
    connect: (_, done) => {
      if (used) return done(new Error("one connection is one request"), null);
      used = true;
      // Later: the client takes no notice of a connection that is there while it asks for it.
      queueMicrotask(() => done(null, socket));
    },
    maxHeaderSize: maxHeaderBytes,
    // The time of the whole call is the limit.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const end = () => {
    signal.removeEventListener("abort", end);
    client.destroy().catch(() => undefined);
    socket.destroy();
  };
  signal.addEventListener("abort", end, { once: true });
  const { method = "GET", headers = {}, body = null } = request;
  try {
    const answer = await client.request({
      path: url.pathname + url.search,
      method,
      headers: {
        "user-agent": "Cortex",
        accept: "*/*",
        ...Object.fromEntries(
          Object.entries(headers)
            .filter(([name]) => !ours.test(name))
            .map(([name, value]) => [name.toLowerCase(), value]),
        ),
        "accept-encoding": acceptedEncodings,
      },
      body,
      signal,
    });
    const { statusCode: status } = answer;
    // It breaks whenever the connection is ended, also when nobody reads it (any more).
    answer.body.on("error", () => undefined);
    const found = new Headers();
    for (const [name, value] of Object.entries(answer.headers))
      for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) found.append(name, one);
    return {
      status,
      headers: found,
      body: answer.body,
      empty: method === "HEAD" || status === 204 || status === 304,
      end,
    };
  } catch (error) {
    end();
    signal.throwIfAborted();
    throw new EgressError("bad_response", `${url.hostname} gave no usable answer.`, { cause: error });
  }
};
