import type { IncomingMessage } from "node:http";
import { type Json, ModelError, invalidRequest } from "../model-error.ts";

/** Room for a long conversation with a few images inside it, and still far from hurting a small machine. */
const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** Reads a JSON body of at most 32 MB. Throws `ModelError` (400 malformed, 413 too large); rejects if the client leaves. */
export async function readJsonBody(request: IncomingMessage): Promise<{ body: Json; bytes: number }> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > MAX_BODY_BYTES) {
      const message = `The body is larger than ${MAX_BODY_BYTES} bytes.`;
      throw new ModelError({ status: 413, message, type: "invalid_request_error", code: "request_too_large" });
    }
    parts.push(part);
  }
  try {
    return { body: JSON.parse(Buffer.concat(parts).toString("utf8")) as Json, bytes };
  } catch (error) {
    throw invalidRequest(null, `We could not parse the JSON body of your request: ${(error as Error).message}`);
  }
}
