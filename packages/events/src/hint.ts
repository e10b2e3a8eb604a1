/** What an append (or the creation of a log) published: where the log stands now, and the new entries unless they are too many bytes. */
export interface Hint {
  epoch: number;
  length: number;
  closed: boolean;
  entries: { firstSeq: number; texts: string[] } | null;
}

interface Header {
  epoch?: unknown;
  length?: unknown;
  first_seq?: unknown;
  closed?: unknown;
}

const entriesBegin = "[\n";
const entriesEnd = "\n]}";

/**
 * Reads a hint; null if it is none. The entries stand on lines of their own (log-scripts.ts), so they are cut out and not parsed: a process
 * with many followers parses nothing but a short header.
 */
export const parseHint = (message: string): Hint | null => {
  const begin = message.indexOf(entriesBegin);
  const hasEntries = begin !== -1 && message.endsWith(entriesEnd);
  let header: Header | null;
  try {
    header = JSON.parse(hasEntries ? `${message.slice(0, begin)}[]}` : message) as Header | null;
  } catch {
    return null;
  }
  const { epoch, length, first_seq: firstSeq, closed } = header ?? {};
  if (typeof epoch !== "number" || typeof closed !== "boolean") return null;
  if (!hasEntries) return typeof length === "number" ? { epoch, length, closed, entries: null } : null;
  if (typeof firstSeq !== "number") return null;
  const texts = message.slice(begin + entriesBegin.length, -entriesEnd.length).split(",\n");
  return { epoch, length: firstSeq + texts.length, closed, entries: { firstSeq, texts } };
};
