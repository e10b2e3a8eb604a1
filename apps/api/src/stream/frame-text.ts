import { formatCursor } from "@cortex/contracts";
import type { RunFrame } from "@cortex/events";

/** Sent first: a reader that loses the connection comes back after a second. */
export const opening = "retry: 1000\n\n";

/** A comment, so that nothing between us and the reader takes the silence for death. */
export const heartbeat = ": hb\n\n";

/** The last frame of a run. It has no id, so a reader's cursor stays where it is, and its next attempt is answered 204. */
export const done = "event: done\ndata: {}\n\n";

/** A frame as server-sent events. An entry is one line of JSON, as it stands in the log: it is never parsed on the way. */
export const frameText = ({ epoch, first_seq: firstSeq, entries }: RunFrame): string => {
  let text = "";
  let seq = firstSeq;
  for (const entry of entries) {
    text += `id: ${formatCursor({ epoch, seq })}\ndata: ${entry}\n\n`;
    seq += 1;
  }
  return text;
};
