import { Readable } from "node:stream";
import type { SandboxFiles } from "@cortex/sandbox/port";
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader } from "yauzl";
import { ToolFailure } from "../errors.ts";
import type { ArchiveEntry } from "./limits.ts";

/** What is read ahead of the directory. */
const blockBytes = 256 * 1024;

/** Reads parts of a file in a sandbox, as they are needed. */
class SandboxReader extends RandomAccessReader {
  readonly #files: SandboxFiles;
  readonly #path: string;
  readonly #signal: AbortSignal;
  #block: { start: number; bytes: Uint8Array } = { start: 0, bytes: new Uint8Array() };

  constructor(files: SandboxFiles, path: string, signal: AbortSignal) {
    super();
    this.#files = files;
    this.#path = path;
    this.#signal = signal;
  }

  /** The directory is read in small pieces, one after the other: from what was read of it at once. */
  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    this.#bytesAt(position, length).then(
      (bytes) => {
        buffer.set(bytes, offset);
        // oxlint-disable-next-line promise/no-callback-in-promise -- the reader of archives knows callbacks only
        callback(bytes.length === length ? null : new Error("unexpected EOF"));
      },
      // oxlint-disable-next-line promise/no-callback-in-promise -- the reader of archives knows callbacks only
      (error: unknown) => callback(error instanceof Error ? error : new Error(String(error))),
    );
  }

  async #bytesAt(position: number, length: number): Promise<Uint8Array> {
    const { start, bytes } = this.#block;
    if (position >= start && position + length <= start + bytes.length) {
      return bytes.subarray(position - start, position - start + length);
    }
    const wanted = { offset: position, length: Math.max(length, blockBytes) };
    const read = await this.#files.read(this.#path, wanted, this.#signal);
    this.#block = { start: position, bytes: read };
    return read.subarray(0, length);
  }

  override _readStreamForRange(start: number, end: number): Readable {
    const [files, path, signal] = [this.#files, this.#path, this.#signal];
    return Readable.from(
      (async function* () {
        const { body } = await files.readStream(path, { offset: start, length: end - start }, signal);
        yield* body;
      })(),
      { objectMode: false },
    );
  }
}

/** Unix file types in the upper half of the external attributes, where a Unix wrote the archive. */
const linkType = 0o120000;
const regularType = 0o100000;
const folderType = 0o040000;

const kindOf = (entry: Entry): ArchiveEntry["kind"] => {
  const type = (entry.externalFileAttributes >>> 16) & 0o170000;
  if (type === linkType) return "link";
  if (entry.fileName.endsWith("/")) return "folder";
  return type === 0 || type === regularType || type === folderType ? "file" : "other";
};

/**
 * The entries of a zip file, in the order of its directory. Names are checked by yauzl before (no absolute ones, no `..`), sizes while
 * they are read.
 * @throws ToolFailure it is no zip file, or a broken one
 */
export async function* zipEntries(
  files: SandboxFiles,
  path: string,
  size: number,
  signal: AbortSignal,
): AsyncGenerator<ArchiveEntry, void, undefined> {
  try {
    const zip = await fromRandomAccessReaderPromise(new SandboxReader(files, path, signal), size, { autoClose: false });
    for await (const entry of zip.eachEntry()) {
      const kind = kindOf(entry);
      const open = async (): Promise<Readable> => {
        if (!entry.canDecodeFileData()) {
          throw new ToolFailure(`${entry.fileName} is encrypted, or packed in a way that is not known.`);
        }
        return zip.openReadStreamPromise(entry);
      };
      yield { name: entry.fileName, kind, size: entry.uncompressedSize, open: kind === "file" ? open : null };
    }
  } catch (error) {
    signal.throwIfAborted();
    throw asArchiveFailure(error, "zip");
  }
}

/** What a reader of archives throws is about the archive, unless it is one of ours. */
export const asArchiveFailure = (error: unknown, kind: string): unknown => {
  if (!(error instanceof Error) || error instanceof ToolFailure || "reason" in error) return error;
  return new ToolFailure(`The ${kind} file cannot be read: ${error.message.slice(0, 300)}`, { cause: error });
};
