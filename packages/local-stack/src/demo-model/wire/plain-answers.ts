import type { ServerResponse } from "node:http";

/** Sends a whole JSON answer, unless the client is gone or something was sent already. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Record<string, string> = {},
): void {
  send(response, status, JSON.stringify(body), { "content-type": "application/json", ...headers });
}

export function sendPage(response: ServerResponse, status: number, text: string, type: string): void {
  send(response, status, text, { "content-type": `${type}; charset=utf-8` });
}

function send(response: ServerResponse, status: number, text: string, headers: Record<string, string>): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, { ...headers, "content-length": String(Buffer.byteLength(text)) });
  response.end(text);
}
