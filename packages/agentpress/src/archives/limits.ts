import { parseWorkspacePath, type WorkspacePath } from "@cortex/sandbox/port";
import { ToolFailure } from "../errors.ts";

/** What one archive may hold, read or written. What is packed to more than `maxRatio` is a bomb, not a file that somebody needs. */
export const maxEntries = 10_000;
export const maxTotalBytes = 200 * 1024 * 1024;
const maxRatio = 100;
/** Below it a ratio says nothing: a megabyte of zeros is small and harmless. */
const ratioFromBytes = 10 * 1024 * 1024;

/** One entry of an archive, before it is judged. */
export interface ArchiveEntry {
  /** As it stands in the archive. */
  name: string;
  kind: "file" | "folder" | "link" | "other";
  /** Bytes, as the archive says. */
  size: number;
  /** Its content; taken at most once, and before the next entry. Null for what is no file. */
  open: (() => Promise<AsyncIterable<Uint8Array>>) | null;
}

/**
 * Where an entry goes. The rule is that of every path in a workspace; besides, a name is relative.
 * @returns null for the folder itself
 * @throws ToolFailure the name leads out
 */
export const placeOf = (name: string, into: WorkspacePath): WorkspacePath | null => {
  const refused = () =>
    new ToolFailure(`The archive holds a name that leads elsewhere: ${JSON.stringify(name.slice(0, 200))}.`);
  if (name.startsWith("/") || /^[A-Za-z]:/.test(name)) throw refused();
  try {
    const inside = parseWorkspacePath(name);
    return inside === "" ? null : parseWorkspacePath(into === "" ? inside : `${into}/${inside}`);
  } catch (error) {
    throw new ToolFailure(refused().message, { cause: error });
  }
};

/** Counts what comes out of an archive, really and not as it claims. */
export interface ExtractionMeter {
  /** @throws ToolFailure too many entries */
  entry(): void;
  /** @throws ToolFailure too much, or too much for what was packed */
  bytes(count: number): void;
  total(): number;
}

/** @param packedBytes the size of the archive */
export const startMeter = (packedBytes: number): ExtractionMeter => {
  let entries = 0;
  let total = 0;
  return {
    entry: () => {
      entries += 1;
      if (entries > maxEntries) throw new ToolFailure(`The archive holds more than ${maxEntries} entries.`);
    },
    bytes: (count) => {
      total += count;
      if (total > maxTotalBytes)
        throw new ToolFailure(`The archive holds more than ${maxTotalBytes / 1024 / 1024} MB.`);
      if (total > ratioFromBytes && total > packedBytes * maxRatio) {
        throw new ToolFailure(`The archive unpacks to more than ${maxRatio} times its size: it is refused as a bomb.`);
      }
    },
    total: () => total,
  };
};
