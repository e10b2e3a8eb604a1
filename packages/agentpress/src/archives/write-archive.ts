import { pipeline, Readable } from "node:stream";
import { createGzip } from "node:zlib";
import type { FileEntry, SandboxFiles, WorkspacePath } from "@cortex/sandbox/port";
import { createTarPacker } from "modern-tar";
import { ZipFile } from "yazl";
import { ToolFailure } from "../errors.ts";
import { maxEntries, maxTotalBytes } from "./limits.ts";

export type ArchiveFormat = "zip" | "tar" | "tar.gz";

/** All files at and below these places, links left out. @throws ToolFailure a place is missing, or a limit is reached */
const filesAt = async (
  files: SandboxFiles,
  places: readonly WorkspacePath[],
  except: WorkspacePath,
  signal: AbortSignal,
): Promise<FileEntry[]> => {
  const found = new Map<string, FileEntry>();
  let bytes = 0;
  const take = (entry: FileEntry): void => {
    if (found.has(entry.path) || entry.path === except) return;
    found.set(entry.path, entry);
    bytes += entry.size;
    if (found.size > maxEntries)
      throw new ToolFailure(`There are more than ${maxEntries} files. Take a smaller folder.`);
    if (bytes > maxTotalBytes)
      throw new ToolFailure(`The files are larger than ${maxTotalBytes / 1024 / 1024} MB together.`);
  };
  const walk = async (folder: string): Promise<void> => {
    const { entries, truncated } = await files.list(folder, { limit: maxEntries }, signal);
    if (truncated) throw new ToolFailure(`There are more than ${maxEntries} files. Take a smaller folder.`);
    for (const entry of entries) {
      if (entry.type === "file") take(entry);
      else if (entry.type === "directory") await walk(entry.path);
    }
  };
  for (const place of places) {
    const entry = place === "" ? null : await files.stat(place, signal);
    if (place !== "" && entry === null) throw new ToolFailure(`There is no file or folder /workspace/${place}.`);
    if (entry?.type === "file") take({ ...entry, path: place });
    else await walk(place);
  }
  if (found.size === 0) throw new ToolFailure("There is no file to pack.");
  return [...found.values()];
};

/** Exactly as many bytes as the directory of the archive says, whatever becomes of the file meanwhile. */
const contentOf = async (
  files: SandboxFiles,
  entry: FileEntry,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> => (await files.readStream(entry.path, { length: entry.size }, signal)).body;

const zipOf = (files: SandboxFiles, entries: readonly FileEntry[], signal: AbortSignal): AsyncIterable<Uint8Array> => {
  const zip = new ZipFile();
  // A PassThrough; its type says less.
  const output = zip.outputStream as Readable;
  zip.on("error", (error: Error) => output.destroy(error));
  for (const entry of entries) {
    zip.addReadStreamLazy(entry.path, { mtime: entry.modifiedAt, mode: 0o100000 | entry.mode }, (give) => {
      contentOf(files, entry, signal).then(
        (body) =>
          give(
            null,
            Readable.from(body, { objectMode: false }).on("error", (error) => output.destroy(error)),
          ),
        (error: unknown) => output.destroy(error instanceof Error ? error : new Error(String(error))),
      );
    });
  }
  zip.end();
  return output;
};

const tarOf = (files: SandboxFiles, entries: readonly FileEntry[], signal: AbortSignal): Readable => {
  const { readable, controller } = createTarPacker();
  const pack = async (): Promise<void> => {
    try {
      for (const { path, size, modifiedAt, mode } of entries) {
        const header = { name: path, size, mtime: modifiedAt, mode };
        const target = controller.add({ ...header, type: "file" });
        const writer = target.getWriter();
        for await (const chunk of (await files.readStream(path, { length: size }, signal)).body) {
          await writer.write(new Uint8Array(chunk));
        }
        await writer.close();
      }
      controller.finalize();
    } catch (error) {
      controller.error(error);
    }
  };
  void pack();
  return Readable.from(readable, { objectMode: false });
};

/**
 * Packs files and folders into a new archive; names in it are relative to the workspace.
 * @throws ToolFailure something is missing, or a limit is reached
 */
export const writeArchive = async (
  files: SandboxFiles,
  input: { path: WorkspacePath; format: ArchiveFormat; from: readonly WorkspacePath[]; overwrite: boolean },
  signal: AbortSignal,
): Promise<{ files: number; bytes: number }> => {
  const entries = await filesAt(files, input.from, input.path, signal);
  const packed = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    if (input.format === "zip") yield* zipOf(files, entries, signal);
    else if (input.format === "tar") yield* tarOf(files, entries, signal);
    else {
      const gzip = createGzip();
      // What breaks the one breaks the other, and is thrown where it is read.
      pipeline(tarOf(files, entries, signal), gzip, () => undefined);
      yield* gzip as AsyncIterable<Buffer>;
    }
  };
  const written = await files.write(input.path, packed(), { ifExists: input.overwrite ? "replace" : "fail" }, signal);
  return { files: entries.length, bytes: written.size };
};
