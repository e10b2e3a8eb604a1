import { formatCursor } from "@cortex/contracts";
import type { RunFrame } from "@cortex/events";

/** Sent first: a reader that loses the connection comes back after a second. */
export const opening = "retry: 1000\n\n";

/** A comment, so that nothing between us and the reader takes the silence for death. */
export const heartbeat = ": hb\n\n";

/** The last frame of a run. It has no id, so a reader's cursor stays where it is, and its next attempt is answered 204. */
export const done = "event: done\ndata: {}\n\n";

/**
 * Characters of one write. > a frame of many entries with their ids (64 KiB and some), which is one write then. A single entry may be a message
 * of megabytes, and fifty readers that do not read would hold it fifty times.
 */
const pieceLength = 96 * 1024;

/** Where a piece that may reach to `limit` ends: not between the halves of a character, of which each alone would be sent as garbage. */
const pieceEnd = (entry: string, limit: number): number => {
  const last = entry.charCodeAt(limit - 1);
  return last >= 0xd800 && last <= 0xdbff ? limit - 1 : limit;
};

/**
 * A frame as server-sent events, in pieces to be written one after the other with nothing between them. An entry is one line of JSON, as it
 * stands in the log: it is never parsed on the way.
 * @param head goes before the first entry, in the same write
 */
export function* framePieces(
  { epoch, first_seq: firstSeq, entries }: RunFrame,
  head = "",
): Generator<string, void, void> {
  let text = head;
  let seq = firstSeq;
  for (const entry of entries) {
    text += `id: ${formatCursor({ epoch, seq })}\ndata: `;
    let from = 0;
    while (text.length + entry.length - from > pieceLength) {
      const to = pieceEnd(entry, Math.max(from, from + pieceLength - text.length));
      yield text + entry.slice(from, to);
      text = "";
      from = to;
    }
    text += `${entry.slice(from)}\n\n`;
    seq += 1;
  }
  if (text !== "") yield text;
}
