import { randomUUID } from "node:crypto";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { createFaultCounter } from "./fault-counter.ts";
import { ModelError } from "./model-error.ts";
import { type RecordedRequest, createRequestRecord } from "./recorded-requests.ts";
import { type RouteDeps, route } from "./routes.ts";
import { sendJson } from "./wire/plain-answers.ts";

export interface DemoModelOptions {
  /** 0 lets the system choose. */
  port: number;
  /** Default 127.0.0.1: nobody outside this machine has a use for a scripted model. */
  host?: string;
  /** If set, requests need `Authorization: Bearer <key>`; default: any key or none. */
  apiKey?: string | null;
  /** Milliseconds between chunks where the prompt does not say; default 0, as fast as the reader. */
  delayMs?: number;
  /** Called once per finished request. */
  log?: (entry: DemoModelLogEntry) => void;
}

export interface DemoModelLogEntry {
  request_id: string;
  method: string;
  path: string;
  status: number | null;
  chunks: number;
  ended: RecordedRequest["ended"];
  duration_ms: number;
}

export interface DemoModel {
  /** Base URL for a client, ends in `/v1`. */
  url: string;
  port: number;
  /** The latest requests, oldest first; bounded. */
  requests: readonly RecordedRequest[];
  /** Drops open answers and frees the port. May be called again. */
  close(): Promise<void>;
}

/**
 * Longer than the keep-alive of any client in use (undici: 4 s), so that the client closes an idle connection first and never sends
 * a request into one that this server is just closing.
 */
const KEEP_ALIVE_MS = 75_000;

/**
 * Starts the scripted model on its own HTTP server. It keeps no state between requests but the counts of `[[fail=429*2]]` and the
 * record of requests, both bounded. Rejects if the port cannot be taken (`EADDRINUSE`, `EACCES`).
 */
export async function startDemoModel(options: DemoModelOptions): Promise<DemoModel> {
  const { port, host = "127.0.0.1", apiKey = null, delayMs = 0, log } = options;
  const record = createRequestRecord();
  const deps: RouteDeps = { faults: createFaultCounter(), record, apiKey, delayMs };
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, (request, response) => {
    const entry = newRecord(request);
    record.add(entry);
    const id = requestId(request);
    response.setHeader("x-request-id", id);
    response.once("close", () => {
      entry.status = response.headersSent ? response.statusCode : null;
      if (entry.ended === "open") entry.ended = response.writableFinished ? "answered" : "client_left";
      log?.(logEntry(entry, id));
    });
    route(deps, { request, response, record: entry }).catch((error: unknown) => refuse(response, error));
  });
  await listen(server, port, host);
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("The demo model listens on no port.");
  return {
    url: `http://${host.includes(":") ? `[${host}]` : host}:${address.port}/v1`,
    port: address.port,
    requests: record.requests,
    close: () => close(server),
  };
}

function newRecord(request: IncomingMessage): RecordedRequest {
  const { authorization: _secret, ...headers } = request.headers;
  const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
  const method = request.method ?? "GET";
  return { method, path, headers, body: null, receivedAt: performance.now(), status: null, chunks: 0, ended: "open" };
}

/** The caller's own id, if it is safe to repeat, so that its log and ours meet. */
function requestId(request: IncomingMessage): string {
  const given = request.headers["x-request-id"];
  return typeof given === "string" && /^[\w.:-]{1,128}$/.test(given) ? given : `req_${randomUUID()}`;
}

function refuse(response: ServerResponse, error: unknown): void {
  if (error instanceof ModelError) {
    // The rest of a refused body is not read; the connection cannot serve another request.
    const headers = error.status === 413 ? { ...error.headers, connection: "close" } : error.headers;
    sendJson(response, error.status, error.body, headers);
    return;
  }
  if (response.destroyed) return; // the client left while its body was read
  const message = error instanceof Error ? error.message : String(error);
  sendJson(response, 500, {
    error: { message: `The demo model failed: ${message}`, type: "server_error", param: null, code: null },
  });
}

function logEntry(entry: RecordedRequest, requestId: string): DemoModelLogEntry {
  const { method, path, status, chunks, ended, receivedAt } = entry;
  const duration_ms = Math.round(performance.now() - receivedAt);
  return { request_id: requestId, method, path, status, chunks, ended, duration_ms };
}

function listen(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
