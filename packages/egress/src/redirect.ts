import { parseUrl } from "./guard.ts";
import type { SafeRequest } from "./safe-fetch.ts";

export interface Hop {
  url: URL;
  request: SafeRequest;
}

const redirecting: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Headers that tell nothing about who asks. Keys of vendors have many names, so what may go to another origin is listed, not what may not. */
const plainHeaders: ReadonlySet<string> = new Set(["accept", "accept-language", "content-type", "user-agent"]);

const without = (headers: Readonly<Record<string, string>>, dropped: (name: string) => boolean) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !dropped(name.toLowerCase())));

/**
 * Where an answer sends the request on to, and what of the request goes along; null: it is the answer.
 * @throws EgressError if it leads to something that is no web address
 */
export const nextHop = (hop: Hop, answer: { status: number; headers: Headers }): Hop | null => {
  const location = answer.headers.get("location");
  if (!redirecting.has(answer.status) || location === null) return null;
  // Headers come as bytes, and addresses in them are mostly meant as UTF-8.
  const url = parseUrl(Buffer.from(location, "latin1").toString("utf8"), hop.url);
  let request = hop.request;
  if (url.origin !== hop.url.origin)
    request = { ...request, headers: without(request.headers ?? {}, (name) => !plainHeaders.has(name)) };
  const { method = "GET" } = request;
  const asksAgain = answer.status === 307 || answer.status === 308 || method === "GET" || method === "HEAD";
  if (asksAgain) return { url, request };
  const { body: _, ...rest } = request;
  return {
    url,
    request: { ...rest, method: "GET", headers: without(request.headers ?? {}, (name) => name.startsWith("content-")) },
  };
};
