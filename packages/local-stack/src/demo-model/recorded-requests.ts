import type { IncomingHttpHeaders } from "node:http";
import type { Json } from "./model-error.ts";

/** One request as this server saw it. `authorization` is left out: a record must not become a place to find keys. */
export interface RecordedRequest {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  /** The parsed body; null before it was read, and for requests without one. */
  body: Json;
  /** `performance.now()` when the headers arrived. */
  receivedAt: number;
  /** Null until the answer has a status. */
  status: number | null;
  /** Chunks of content that went out. */
  chunks: number;
  /** `broken`: we ended it as a fault asked. `client_left`: the client ended it before we did. */
  ended: "open" | "answered" | "broken" | "client_left";
}

const MAX_REQUESTS = 500;
const MAX_BYTES = 16 * 1024 * 1024;

export interface RequestRecord {
  /** The latest requests, oldest first. */
  readonly requests: readonly RecordedRequest[];
  add(request: RecordedRequest): void;
  keepBody(request: RecordedRequest, body: Json, bytes: number): void;
}

/** Keeps the latest requests, bounded in number and in bytes of their bodies, so that a benchmark may run for days. */
export function createRequestRecord(): RequestRecord {
  const requests: RecordedRequest[] = [];
  const sizes = new Map<RecordedRequest, number>();
  let bytes = 0;
  const forgetOldest = (): void => {
    const oldest = requests.shift();
    if (oldest === undefined) return;
    bytes -= sizes.get(oldest) ?? 0;
    sizes.delete(oldest);
  };
  return {
    requests,
    add(request) {
      requests.push(request);
      if (requests.length > MAX_REQUESTS) forgetOldest();
    },
    keepBody(request, body, size) {
      if (size > MAX_BYTES || !requests.includes(request)) return;
      request.body = body;
      sizes.set(request, size);
      bytes += size;
      while (bytes > MAX_BYTES) forgetOldest();
    },
  };
}
