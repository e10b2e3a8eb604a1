import type { IncomingMessage } from "node:http";
import { AppError } from "@cortex/contracts";
import type { MiddlewareHandler } from "hono";
import type { ApiContext } from "./request-context.ts";

/** The contract's bound on JSON bodies. */
const maxBytes = 1024 * 1024;

/** Beyond this nobody nests anything; a schema that contains itself is walked recursively, so without a bound a body could end the stack. */
const maxDepth = 100;

/** What the HTTP adapter takes for the body instead of reading the socket itself. */
interface BodyHolder extends IncomingMessage {
  rawBody?: Buffer;
}

const tooLarge = () => new AppError("body_too_large", `The body may have ${maxBytes} bytes at most.`);

/**
 * Reads the body once, bounded however it comes: the adapter and the framework would buffer a chunked one whole. Runs behind authentication, so
 * that nobody unknown can make us keep a byte.
 * Errors: `body_too_large`, `unsupported_media_type` (compressed, or of no type), `invalid_json` (nested too deeply)
 */
export const readBody: MiddlewareHandler<ApiContext> = async (c, next) => {
  const incoming: BodyHolder = c.env.incoming;
  if (incoming.method === "GET" || incoming.method === "HEAD") return next();
  const { "content-length": length, "content-encoding": encoding, "content-type": type } = incoming.headers;
  if (Number(length ?? 0) > maxBytes) throw tooLarge();
  const body = await collect(incoming);
  if (body.length > 0 && encoding !== undefined && encoding !== "identity") {
    throw new AppError("unsupported_media_type", "The body must not be compressed.");
  }
  if (body.length > 0 && type === undefined) {
    throw new AppError("unsupported_media_type", "The body needs a Content-Type.");
  }
  if (type !== undefined && /json/i.test(type) && isTooDeep(body))
    throw new AppError("invalid_json", `The body may be nested ${maxDepth} levels deep at most.`);
  incoming.rawBody = body;
  c.set("body", body);
  await next();
};

const collect = async (incoming: IncomingMessage): Promise<Buffer> => {
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    // Leaving the loop must not destroy the socket: the refusal still has to get out.
    for await (const piece of incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += piece.length;
      if (size > maxBytes) throw tooLarge();
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof AppError) throw error;
    // The client went in the middle: nobody hears this, but it is no failure of ours.
    throw new AppError("invalid_json", "The body did not arrive whole.", {}, { cause: error });
  }
  return Buffer.concat(pieces);
};

const quote = 0x22;
const backslash = 0x5c;
const opening = new Set([0x5b, 0x7b]);
const closing = new Set([0x5d, 0x7d]);

/** Counts brackets outside of strings. Of a body that is not JSON it says something harmless. */
const isTooDeep = (body: Buffer): boolean => {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at] ?? 0;
    if (inString) {
      if (byte === backslash) at += 1;
      else if (byte === quote) inString = false;
    } else if (byte === quote) inString = true;
    else if (opening.has(byte)) {
      depth += 1;
      if (depth > maxDepth) return true;
    } else if (closing.has(byte)) depth -= 1;
  }
  return false;
};
