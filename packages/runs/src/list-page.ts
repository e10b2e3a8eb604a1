import { AppError } from "@cortex/contracts";
import { type ListPlace, parseListPlace } from "@cortex/db";

/*
 * Where a page of a list begins. Cursors are opaque to clients: whatever is not one of ours is `invalid_cursor`, never a guess.
 */

const notOurs = () => new AppError("invalid_cursor", "The cursor is not one of ours.");

/** For lists that show the newest first. Null: the first page. */
export const readPlace = (cursor: string | undefined): ListPlace | null => {
  if (cursor === undefined) return null;
  const place = parseListPlace(cursor);
  if (!place) throw notOurs();
  return place;
};

/** Nine digits fit into the column. */
const seqPattern = /^seq (\d{1,9})$/;

/** For messages, which are listed by seq from the first one on: the seq after which the page begins. Before the first one it is -1. */
export const readSeq = (cursor: string | undefined): number => {
  if (cursor === undefined) return -1;
  const [, seq] = seqPattern.exec(Buffer.from(cursor, "base64url").toString()) ?? [];
  if (seq === undefined) throw notOurs();
  return Number(seq);
};

export const seqCursor = (seq: number): string => Buffer.from(`seq ${seq}`).toString("base64url");
