import { type RawBuilder, sql } from "kysely";

/**
 * The place of a row in a list that shows the newest first, ordered by (created_at, id) descending. What comes after a place stays the same
 * however many rows are added before it, which no offset can say.
 */
export interface ListPlace {
  /** Microseconds since 1970, all that Postgres keeps: a JavaScript Date would cut them off and skip or repeat rows. */
  micros: string;
  id: string;
}

/** Below 2^53, so that the multiplication with an interval is exact. */
const pattern = /^([0-8]?\d{1,15})\.([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$/;

/** Reads a cursor that a client sent back; null when it is none of ours. */
export const parseListPlace = (cursor: string): ListPlace | null => {
  const [, micros, id] = pattern.exec(Buffer.from(cursor, "base64url").toString()) ?? [];
  return micros === undefined || id === undefined ? null : { micros, id };
};

/** To be selected as `place`, so that `toPage` can make a cursor of it. */
export const placeOf = (table: string): RawBuilder<string> =>
  sql<string>`(extract(epoch from ${sql.ref(`${table}.created_at`)}) * 1000000)::bigint || '.' || ${sql.ref(`${table}.id`)}`;

/** The condition on the rows after a place; all rows if there is none. */
export const isAfter = (table: string, place: ListPlace | null): RawBuilder<boolean> =>
  place === null
    ? sql<boolean>`true`
    : sql<boolean>`(${sql.ref(`${table}.created_at`)}, ${sql.ref(`${table}.id`)})
        < ('epoch'::timestamptz + ${place.micros}::bigint * interval '1 microsecond', ${place.id}::uuid)`;

/**
 * One page of a list. `rows` are up to `limit + 1`: the one too many says that there is a next page, and the cursor to it is the place of
 * the last row shown.
 */
export const toPage = <Row extends { place: string }, Item>(
  rows: readonly Row[],
  limit: number,
  toItem: (row: Row) => Item,
): { data: Item[]; next_cursor: string | null } => {
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return {
    data: shown.map(toItem),
    next_cursor: last === undefined ? null : Buffer.from(last.place).toString("base64url"),
  };
};
