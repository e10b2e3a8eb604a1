import type { Logger } from "@cortex/observability";
import { boundedBody } from "./bounded-body.ts";
import { dialTcp, type Line } from "./connect.ts";
import { EgressError } from "./egress-error.ts";
import { createGuard, type GuardOptions, parseUrl } from "./guard.ts";
import { exchange, type HopAnswer } from "./exchange.ts";
import { nextHop } from "./redirect.ts";

export interface FetchLimits {
  /** Name, connection and handshake of one hop. */
  connectMs: number;
  /** From the call to the last byte of the body, redirects included. Above `connectMs`. */
  totalMs: number;
  /** Of the body, decompressed. */
  maxBytes: number;
  /** Bytes of a body for each byte that was received. */
  maxRatio: number;
  maxRedirects: number;
}

const defaultLimits: FetchLimits = {
  connectMs: 10_000,
  totalMs: 30_000,
  maxBytes: 5 * 1024 * 1024,
  maxRatio: 100,
  maxRedirects: 3,
};

export interface SafeRequest {
  /** Default GET. */
  method?: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Only plain ones (`accept`, `content-type`, …) go along to another origin. `host` and what belongs to the connection is ours. */
  headers?: Readonly<Record<string, string>>;
  body?: string | Uint8Array;
  signal?: AbortSignal;
  limits?: Partial<FetchLimits>;
}

export interface SafeResponse {
  /** Where it came from in the end. */
  url: string;
  status: number;
  headers: Headers;
  /** Read it or cancel it: until then, or until `totalMs`, it holds a connection. Errors with `EgressError`. */
  body: ReadableStream<Uint8Array>;
  /** The whole body. @throws EgressError */
  bytes(): Promise<Uint8Array>;
}

/**
 * Asks an address that a user or a model has named. Every status is an answer, redirects that lead nowhere included.
 * @throws EgressError; the reason of `request.signal`, if that is what ended it
 */
export type SafeFetch = (url: string, request?: SafeRequest) => Promise<SafeResponse>;

export interface SafeFetchOptions extends GuardOptions {
  limits?: Partial<FetchLimits>;
  /** Where refusals are told, by host. */
  log: Logger;
}

/** The time of one call and whoever ends it earlier. */
const startClock = (totalMs: number, outer: AbortSignal | undefined) => {
  const controller = new AbortController();
  const timer = setTimeout(
    () => controller.abort(new EgressError("timeout", `There was no complete answer within ${totalMs / 1_000} s.`)),
    totalMs,
  );
  const forward = () => controller.abort(outer?.reason);
  if (outer?.aborted) forward();
  else outer?.addEventListener("abort", forward, { once: true });
  return {
    signal: controller.signal,
    stop: () => {
      clearTimeout(timer);
      outer?.removeEventListener("abort", forward);
    },
  };
};

/** The body as a stream whose end, however it comes, ends the exchange. */
const streamOf = (answer: HopAnswer, url: URL, limits: FetchLimits, end: () => void, signal: AbortSignal) => {
  const length = answer.headers.get("content-length");
  const facts = {
    host: url.hostname,
    encoding: answer.empty ? "" : (answer.headers.get("content-encoding") ?? ""),
    declaredBytes: !answer.empty && length !== null && /^\d+$/.test(length) ? Number(length) : null,
  };
  const chunks = boundedBody(answer.body, facts, limits);
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        try {
          const next = await chunks.next();
          if (next.done !== true) return controller.enqueue(next.value);
          end();
          controller.close();
        } catch (error) {
          end();
          if (signal.aborted) return controller.error(signal.reason);
          const broken = new EgressError("unreachable", `What ${url.hostname} sent broke off.`, { cause: error });
          controller.error(error instanceof EgressError ? error : broken);
        }
      },
      cancel: end,
    },
    { highWaterMark: 0 },
  );
};

const readAll = async (body: ReadableStream<Uint8Array>): Promise<Uint8Array> => {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
};

/** The client behind any guard. */
export const fetchThrough =
  (line: Line, { log, limits: usual = {} }: { log: Logger; limits?: Partial<FetchLimits> }): SafeFetch =>
  async (address, request = {}) => {
    const limits = { ...defaultLimits, ...usual, ...request.limits };
    const clock = startClock(limits.totalMs, request.signal);
    let url: URL | null = null;
    let answer: HopAnswer | null = null;
    try {
      let hop = { url: parseUrl(address), request };
      for (let redirects = 0; ; redirects += 1) {
        ({ url } = hop);
        answer = await exchange(line, { ...hop, connectMs: limits.connectMs, signal: clock.signal });
        const next = nextHop(hop, answer);
        if (next === null) {
          const { status, headers, end: hangUp } = answer;
          const end = () => {
            clock.stop();
            hangUp();
          };
          const body = streamOf(answer, url, limits, end, clock.signal);
          return { url: url.href, status, headers, body, bytes: () => readAll(body) };
        }
        answer.end();
        if (redirects >= limits.maxRedirects)
          throw new EgressError("too_many_redirects", `${url.hostname} redirects too often.`);
        hop = next;
      }
    } catch (error) {
      clock.stop();
      answer?.end();
      if (error instanceof EgressError)
        log.info({ host: url?.hostname ?? null, code: error.code, err: error.cause }, "a request out of here failed");
      throw error;
    }
  };

/**
 * The client for addresses that users or models name: http and https to public addresses only, every hop checked by form and by the address
 * that is connected to, everything bounded. It shares nothing between calls: no connection, no cookie, no cache.
 * @throws TypeError for an entry of `allow` that cannot be meant
 */
export const createSafeFetch = (options: SafeFetchOptions): SafeFetch =>
  fetchThrough({ guard: createGuard(options), dial: dialTcp }, options);
