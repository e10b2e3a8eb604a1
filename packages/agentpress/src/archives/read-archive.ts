import { absoluteWorkspacePath, type SandboxFiles, type WorkspacePath } from "@cortex/sandbox/port";
import { ToolFailure } from "../errors.ts";
import { type ArchiveEntry, type ExtractionMeter, placeOf, startMeter } from "./limits.ts";
import { tarEntries } from "./tar.ts";
import { zipEntries } from "./zip.ts";

/** Bytes at the beginning that tell what a file is: those of a tar stand at 257. */
const sniffedBytes = 265;

const formatOf = (head: Uint8Array): "zip" | "tar" | "gzip" | null => {
  const bytes = Buffer.from(head);
  const zip = bytes.subarray(0, 4).toString("latin1");
  if (zip === "PK\u0003\u0004" || zip === "PK\u0005\u0006") return "zip";
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return "gzip";
  return bytes.subarray(257, 262).toString("latin1") === "ustar" ? "tar" : null;
};

/** The entries of a zip, tar or tar.gz file of the workspace; what it is says its content, not its name. */
export async function* archiveEntries(
  files: SandboxFiles,
  path: WorkspacePath,
  signal: AbortSignal,
): AsyncGenerator<ArchiveEntry & { meter: ExtractionMeter }, void, undefined> {
  const name = absoluteWorkspacePath(path);
  const stat = await files.stat(path, signal);
  if (stat === null) throw new ToolFailure(`There is no file ${name}.`);
  const format = formatOf(await files.read(path, { length: sniffedBytes }, signal));
  if (format === null) throw new ToolFailure(`${name} is neither a zip nor a tar nor a tar.gz file.`);
  const meter = startMeter(stat.size);
  const unpacking = startMeter(stat.size);
  const entries =
    format === "zip"
      ? zipEntries(files, path, stat.size, signal)
      : tarEntries(files, path, { gzip: format === "gzip", unpacked: (bytes) => unpacking.bytes(bytes) }, signal);
  for await (const entry of entries) {
    meter.entry();
    yield { ...entry, meter };
  }
}

export interface Extracted {
  files: number;
  bytes: number;
  /** Names that were left out because they are no files: links, devices. */
  skipped: string[];
}

async function* metered(content: AsyncIterable<Uint8Array>, meter: ExtractionMeter): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    meter.bytes(chunk.length);
    yield chunk;
  }
}

/**
 * Writes the files of an archive into a folder. All names are judged as they come, before anything of theirs is written; links are never
 * made, so nothing that is written later can be led through one.
 * @throws ToolFailure a name leads out, a limit is reached, a file is there already; what was written before stays
 */
export const extractArchive = async (
  files: SandboxFiles,
  input: { path: WorkspacePath; into: WorkspacePath; overwrite: boolean },
  signal: AbortSignal,
): Promise<Extracted> => {
  const done: Extracted = { files: 0, bytes: 0, skipped: [] };
  for await (const { name, kind, open, meter } of archiveEntries(files, input.path, signal)) {
    const place = placeOf(name, input.into);
    if (place === null) continue;
    if (kind === "folder") await files.mkdir(place, signal);
    else if (open === null) done.skipped.push(name);
    else {
      const ifExists = input.overwrite ? "replace" : "fail";
      await files.write(place, metered(await open(), meter), { ifExists }, signal);
      done.files += 1;
      done.bytes = meter.total();
    }
  }
  return done;
};
