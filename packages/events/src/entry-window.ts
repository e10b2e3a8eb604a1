import { isSwitchedOff } from "@cortex/failpoints";

/** The newest entries of one epoch, without a gap. Bounded, whatever the length of the log. */
export interface EntryWindow {
  /** Adds what is new of these. What does not join up begins the window anew. */
  add(firstSeq: number, texts: readonly string[]): void;
  /** Nothing of an epoch is known yet but where its next entry will be. */
  beginAt(seq: number): void;
  /** Entries from `seq` on, as many as a frame may have; null if the window does not hold that one. */
  from(seq: number): string[] | null;
}

/** A frame: what one reader gets in one piece. */
export const frameEntries = 200;
export const frameSize = 64 * 1024;

/** Some frames: a follower that is a little slow still finds its place without asking Redis. Size in characters. */
const windowEntries = 5 * frameEntries;
const windowSize = 4 * frameSize;

export const createEntryWindow = (): EntryWindow => {
  let first = 0;
  let entries: string[] = [];
  let size = 0;

  const trim = (): void => {
    let surplus = Math.max(0, entries.length - windowEntries);
    for (let index = 0; index < surplus; index++) size -= entries[index]?.length ?? 0;
    while (size > windowSize && surplus < entries.length) {
      size -= entries[surplus]?.length ?? 0;
      surplus += 1;
    }
    if (surplus === 0) return;
    entries = entries.slice(surplus);
    first += surplus;
  };

  const beginAt = (seq: number): void => {
    first = seq;
    entries = [];
    size = 0;
  };

  return {
    beginAt,
    add: (toldSeq, texts) => {
      // Without the serialised reader every hint is taken for the next piece, as if hints were handed on as they come.
      const firstSeq = isSwitchedOff("serialised_reader") ? first + entries.length : toldSeq;
      if (firstSeq > first + entries.length || firstSeq + texts.length < first) beginAt(firstSeq);
      for (const text of texts.slice(Math.max(0, first + entries.length - firstSeq))) {
        entries.push(text);
        size += text.length;
      }
      trim();
    },
    from: (seq) => {
      const at = seq - first;
      if (at < 0 || at >= entries.length) return null;
      const frame: string[] = [];
      let room = frameSize;
      for (const text of entries.slice(at, at + frameEntries)) {
        room -= text.length;
        if (room < 0 && frame.length > 0) break;
        frame.push(text);
      }
      return frame;
    },
  };
};
