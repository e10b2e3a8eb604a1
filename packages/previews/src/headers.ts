import type { IncomingMessage } from "node:http";
import type { PreviewSite } from "./link.ts";

/** They speak of one connection, and each of ours has two. */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "expect",
]);

/** What proves to our API who somebody is is nothing for a program that an agent wrote. */
const ours = new Set(["x-api-key", "x-account-id", "idempotency-key"]);

/** Said by us, so that nobody else says it. */
const forwarding = /^(?:forwarded|x-forwarded-.*|x-real-ip|x-cortex-.*)$/;

type Pair = [name: string, value: string];

const pairsOf = (raw: readonly string[]): Pair[] => {
  const pairs: Pair[] = [];
  for (let at = 0; at + 1 < raw.length; at += 2) pairs.push([raw[at] ?? "", raw[at + 1] ?? ""]);
  return pairs;
};

/** Without what speaks of one connection only: the known names, and those that `Connection` lists. */
const endToEnd = (message: IncomingMessage): Pair[] => {
  const listed = new Set((message.headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
  return pairsOf(message.rawHeaders).filter(([name]) => {
    const known = name.toLowerCase();
    return !hopByHop.has(known) && !listed.has(known);
  });
};

/** Is this a token that signs somebody in to our API? Read, not verified: it is only left out. */
const isOurToken = (authorization: string, issuer: string): boolean => {
  const [, claims] = /^bearer\s+[\w-]+\.([\w-]+)\.[\w-]*$/i.exec(authorization.trim()) ?? [];
  if (claims === undefined) return false;
  try {
    const read: unknown = JSON.parse(Buffer.from(claims, "base64url").toString());
    return typeof read === "object" && read !== null && "iss" in read && read.iss === issuer;
  } catch {
    return false; // somebody else's
  }
};

/** What a server in a sandbox is told of a request: the visitor's own words, without ours, and where they came from. */
export const requestHeaders = (
  request: IncomingMessage,
  context: { site: PreviewSite; issuer: string; upgrade: boolean },
): string[] => {
  const kept = endToEnd(request).filter(([name, value]) => {
    const known = name.toLowerCase();
    if (known === "authorization") return !isOurToken(value, context.issuer);
    return !ours.has(known) && !forwarding.test(known);
  });
  const said: Pair[] = [
    ...kept,
    ["X-Forwarded-For", request.socket.remoteAddress ?? "unknown"],
    ["X-Forwarded-Host", request.headers.host ?? ""],
    ["X-Forwarded-Proto", context.site.scheme],
    ...(request.headers["transfer-encoding"] === undefined ? [] : [["Transfer-Encoding", "chunked"] satisfies Pair]),
    ...(context.upgrade
      ? ([
          ["Connection", "Upgrade"],
          ["Upgrade", "websocket"],
        ] satisfies Pair[])
      : ([["Connection", "close"]] satisfies Pair[])),
  ];
  return said.flat();
};

/** A cookie for a whole domain would reach every other preview, and what else is below it. */
const ownCookie = (cookie: string): string => cookie.replaceAll(/;\s*domain\s*=[^;]*/gi, "");

/** Where a link was opened is nobody's business, least of all a search engine's: the address lets in whoever has it. */
const privacy: readonly Pair[] = [
  ["Referrer-Policy", "no-referrer"],
  ["X-Robots-Tag", "noindex"],
];

/** What a visitor is told of an answer. */
export const responseHeaders = (response: IncomingMessage): string[] => {
  const spoken = new Set(privacy.map(([name]) => name.toLowerCase()));
  const kept = endToEnd(response)
    .filter(([name]) => !spoken.has(name.toLowerCase()))
    .map(([name, value]): Pair => [name, name.toLowerCase() === "set-cookie" ? ownCookie(value) : value]);
  return [...kept, ...privacy].flat();
};
