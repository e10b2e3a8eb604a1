import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { EgressError } from "./egress-error.ts";
import { parseUrl } from "./guard.ts";

/** Headers between the client and us, not for the other end. */
export const hopByHop = /^(?:proxy-.*|connection|keep-alive|te|trailer|transfer-encoding|upgrade)$/i;

export const statusOf = (error: EgressError): number => {
  if (error.code === "invalid_url") return 400;
  if (error.code === "timeout") return 504;
  return error.code === "port" || error.code === "not_public" ? 403 : 502;
};

const reasons: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  407: "Proxy Authentication Required",
  502: "Bad Gateway",
  504: "Gateway Timeout",
};

/** An answer on a connection that HTTP has already let go of. */
export const answerRaw = (socket: Duplex, status: number, text: string): void => {
  const extra = status === 407 ? 'Proxy-Authenticate: Basic realm="egress"\r\n' : "";
  socket.end(
    `HTTP/1.1 ${status} ${reasons[status] ?? "Error"}\r\n${extra}Content-Type: text/plain; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
  );
};

/** What a plain request is for. Anything but an absolute http address is somebody who speaks to the proxy itself. */
export const targetOf = (request: IncomingMessage): URL => {
  const url = parseUrl(request.url ?? "");
  if (url.protocol !== "http:") throw new EgressError("invalid_url", "This is a proxy for http addresses.");
  return url;
};
export const passedOn = (request: IncomingMessage, url: URL, keep: RegExp | null): string[] => {
  const headers = ["Host", url.host];
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    const [name = "", value = ""] = request.rawHeaders.slice(at, at + 2);
    if (name.toLowerCase() !== "host" && (!hopByHop.test(name) || keep?.test(name))) headers.push(name, value);
  }
  return headers;
};

/** Where a CONNECT leads. An authority is an address without its beginning and is read by the same parser: 127.1 is 127.0.0.1 here too. */
export const authorityOf = (request: IncomingMessage): URL => {
  const authority = request.url ?? "";
  const url = parseUrl(`http://${authority}`);
  if (!/:\d{1,5}$/.test(authority) || url.pathname !== "/" || url.search !== "" || url.hash !== "")
    throw new EgressError("invalid_url", "This is not of the form host:port.");
  return url;
};
