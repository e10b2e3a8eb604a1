import type { SafeFetch } from "@cortex/egress";
import type { FetchLike } from "@modelcontextprotocol/client";

/** One answer of a server, a long stream of progress included. */
const maxAnswerBytes = 8 * 1024 * 1024;

const methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] as const;

/**
 * The library's requests, by way of the safe client. A stream that the server could send by itself (GET) is not asked for: nobody would read
 * it while no tool is called.
 * @param totalMs of one request with its answer
 */
export const serverFetch =
  (fetch: SafeFetch, totalMs: number): FetchLike =>
  async (url, init = {}) => {
    const method = methods.find((each) => each === (init.method ?? "GET").toUpperCase());
    if (method === undefined || method === "GET") return new Response(null, { status: 405 });
    const { body } = init;
    if (body !== undefined && body !== null && typeof body !== "string") throw new TypeError("a body that is no text");
    const answer = await fetch(String(url), {
      method,
      headers: Object.fromEntries(new Headers(init.headers)),
      ...(typeof body === "string" ? { body } : {}),
      ...(init.signal ? { signal: init.signal } : {}),
      limits: { totalMs, maxBytes: maxAnswerBytes },
    });
    const empty = answer.status === 204 || answer.status === 205 || answer.status === 304;
    if (empty) await answer.body.cancel();
    return new Response(empty ? null : answer.body, { status: answer.status, headers: answer.headers });
  };
