import { Readable } from "node:stream";
import { createGunzip } from "node:zlib";
import type { SandboxFiles } from "@cortex/sandbox/port";
import { createTarDecoder } from "modern-tar";
import type { ArchiveEntry } from "./limits.ts";
import { asArchiveFailure } from "./zip.ts";

const kinds: Partial<Record<string, ArchiveEntry["kind"]>> = {
  file: "file",
  directory: "folder",
  symlink: "link",
  link: "link",
};

/**
 * The entries of a tar file, in their order. One that is not taken is skipped.
 * @param unpack counts what comes out of the compression, names and padding included
 * @throws ToolFailure it is no tar file, or a broken one
 */
export async function* tarEntries(
  files: SandboxFiles,
  path: string,
  options: { gzip: boolean; unpacked: (bytes: number) => void },
  signal: AbortSignal,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  const { body } = await files.readStream(path, {}, signal);
  const packed = Readable.from(body, { objectMode: false });
  const plain = options.gzip ? packed.pipe(createGunzip()) : packed;
  packed.on("error", (error) => plain.destroy(error));
  const counted = async function* (): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
    for await (const chunk of plain as AsyncIterable<Buffer<ArrayBuffer>>) {
      options.unpacked(chunk.length);
      yield new Uint8Array(chunk);
    }
  };
  try {
    const source = Readable.toWeb(Readable.from(counted())) as ReadableStream<Uint8Array<ArrayBuffer>>;
    const entries = source.pipeThrough(createTarDecoder({ strict: true }));
    for await (const { header, body: content } of entries) {
      const kind = kinds[header.type ?? "file"] ?? "other";
      let taken = false;
      const open = async (): Promise<AsyncIterable<Uint8Array>> => {
        taken = true;
        return content;
      };
      yield { name: header.name, kind, size: header.size, open: kind === "file" ? open : null };
      // The next entry stands behind this one's content.
      if (!taken) await content.cancel();
    }
  } catch (error) {
    signal.throwIfAborted();
    throw asArchiveFailure(error, "tar");
  } finally {
    packed.destroy();
    plain.destroy();
  }
}
