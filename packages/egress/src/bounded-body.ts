import type { Readable, Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import { EgressError } from "./egress-error.ts";

/** What is asked for, and all that is understood. */
export const acceptedEncodings = "gzip, deflate, br, zstd";

const decoders: ReadonlyMap<string, () => Transform> = new Map<string, () => Transform>([
  ["gzip", createGunzip],
  ["x-gzip", createGunzip],
  ["deflate", createInflate],
  ["br", createBrotliDecompress],
  ["zstd", createZstdDecompress],
]);

export interface BodyLimits {
  /** Of the body as it is read, after decompression. */
  maxBytes: number;
  /** Bytes read for each byte received. */
  maxRatio: number;
}

/** Small bodies may be packed as tightly as they like: the ratio is watched from here on. Bytes read. */
const ratioFloor = 256 * 1024;

const tooLarge = (host: string, maxBytes: number): EgressError =>
  new EgressError("too_large", `What ${host} sent is larger than ${Math.floor(maxBytes / 1_048_576)} MB.`);

/**
 * The decoded bytes of a response's body, within its limits. Whoever stops reading ends the source.
 * @throws EgressError `too_large`, `bad_response`; what the source throws
 */
export async function* boundedBody(
  source: Readable,
  facts: { host: string; encoding: string; declaredBytes: number | null },
  limits: BodyLimits,
): AsyncGenerator<Uint8Array> {
  const { host, encoding } = facts;
  const refuse = (error: EgressError): never => {
    source.destroy();
    throw error;
  };
  if (facts.declaredBytes !== null && facts.declaredBytes > limits.maxBytes) refuse(tooLarge(host, limits.maxBytes));
  const coding = encoding.trim().toLowerCase();
  const decode = decoders.get(coding);
  if (coding !== "" && coding !== "identity" && decode === undefined)
    refuse(new EgressError("bad_response", `${host} answered in a compression that is not understood.`));

  let received = 0;
  let sourceFailure: { error: unknown } | null = null;
  const decoder = decode?.() ?? null;
  if (decoder) {
    source.on("data", (chunk: Buffer) => (received += chunk.length));
    source.once("error", (error) => {
      sourceFailure = { error };
      decoder.destroy(error);
    });
    source.pipe(decoder);
  }
  let read = 0;
  try {
    for await (const chunk of (decoder ?? source) as AsyncIterable<Buffer>) {
      read += chunk.length;
      if (read > limits.maxBytes) throw tooLarge(host, limits.maxBytes);
      if (decoder && read > ratioFloor && read > received * limits.maxRatio)
        throw new EgressError("bad_response", `What ${host} sent expands too far.`);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof EgressError || !decoder || sourceFailure) throw error;
    throw new EgressError("bad_response", `What ${host} sent cannot be decompressed.`, { cause: error });
  } finally {
    decoder?.destroy();
    source.destroy();
  }
}
