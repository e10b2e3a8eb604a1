import { createHash } from "node:crypto";
import type { FileEntry, Sandbox, SandboxFiles } from "@cortex/sandbox/port";
import { shorten, withoutParent } from "./storable.ts";

/** Where the whole text of a result stands that was too long for the model. Belongs to no one: old ones go when new ones come. */
const outputsFolder = ".cortex/outputs";

/** Bytes of one kept result. A model that needs more than this of one call should have written a file. */
export const maxKeptBytes = 20 * 1024 * 1024;

/** What the folder may hold beside the newest; the oldest go first. */
const maxKeptFiles = 50;
const maxFolderBytes = 100 * 1024 * 1024;

/** Characters that are encoded and on their way at a time: a long text is never in memory a second time as a whole. */
const pieceChars = 64 * 1024;

/**
 * The file of one call's result. Ids of calls are a provider's text and unique in their conversation only, while a workspace is that of all
 * threads of its project: the name is made of what is harmless of it, and of a hash of run and call.
 */
export const outputPath = (runId: string, toolCallId: string): string => {
  const readable = toolCallId.replaceAll(/[^A-Za-z0-9_-]/g, "").slice(0, 40);
  const hash = createHash("sha256").update(`${runId}:${toolCallId}`).digest("hex").slice(0, 10);
  return `${outputsFolder}/${readable === "" ? hash : `${readable}-${hash}`}.txt`;
};

async function* encodedPieces(text: string): AsyncGenerator<Uint8Array, void, undefined> {
  const encoder = new TextEncoder();
  let bytes = 0;
  for (let at = 0; at < text.length && bytes < maxKeptBytes;) {
    let end = Math.min(at + pieceChars, text.length);
    const code = text.charCodeAt(end - 1);
    // Never between the two halves of one character.
    if (end < text.length && code >= 0xd800 && code <= 0xdbff) end -= 1;
    const piece = encoder.encode(text.slice(at, end));
    bytes += piece.length;
    yield piece;
    at = end;
  }
}

/**
 * Makes room for what was just kept: removes the oldest results beyond the bounds. Another call may remove the same ones at the same time.
 */
export const removeOldOutputs = async (files: SandboxFiles, signal: AbortSignal): Promise<void> => {
  const { entries } = await files.list(outputsFolder, {}, signal);
  const newestFirst = entries
    .filter((entry) => entry.type === "file")
    .toSorted((left, right) => right.modifiedAt.getTime() - left.modifiedAt.getTime());
  let bytes = 0;
  const old: FileEntry[] = [];
  for (const [index, entry] of newestFirst.entries()) {
    bytes += entry.size;
    if (index > 0 && (index >= maxKeptFiles || bytes > maxFolderBytes)) old.push(entry);
  }
  await Promise.all(old.map((entry) => files.remove(entry.path, {}, signal)));
};

/** How the model reads on. @param path relative to the workspace */
export const whereToReadOn = (path: string, complete: boolean): string =>
  `${complete ? "the whole output" : `the output, as far as it was kept (${maxKeptBytes / 1024 / 1024} MB),`} is in ` +
  `/workspace/${path}, for read_file and search_files`;

/**
 * A result as the model gets it: what is too long loses its middle, and stands as a whole in the workspace, if there is one. That it cannot
 * be kept (the disk is full, the sandbox is gone) fails nothing: then the middle is lost, and the text says that much is missing.
 * @param target where to keep it; null: nowhere
 */
export const fitResult = async (
  text: string,
  maxChars: number,
  target: { sandbox: Sandbox; path: string; signal: AbortSignal } | null,
): Promise<{ content: string; fault: unknown }> => {
  if (text.length <= maxChars) return { content: text, fault: null };
  const cut = (where: string | null) => withoutParent(shorten(text, maxChars, where));
  if (target === null) return { content: cut(null), fault: null };
  const { sandbox, path, signal } = target;
  try {
    const { size } = await sandbox.files.write(path, encodedPieces(text), {}, signal);
    await removeOldOutputs(sandbox.files, signal);
    return { content: cut(whereToReadOn(path, size < maxKeptBytes)), fault: null };
  } catch (error) {
    return { content: cut(null), fault: error };
  }
};
