import { type RawBuilder, sql } from "kysely";

/** What JSON can say and `jsonb` cannot store: the NUL character and halves of surrogate pairs. */
const unstorable = /\\u(0000|d[89a-f])/i;

const storable = (value: unknown): unknown => {
  if (typeof value === "string") return value.toWellFormed().replaceAll("\0", "\ufffd");
  if (Array.isArray(value)) return value.map(storable);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [storable(key), storable(item)]));
  }
  return value;
};

/** JSON text that a `jsonb` column takes, whatever a model or a command printed: what cannot be stored becomes U+FFFD. */
export const jsonText = (value: unknown): string => {
  const text = JSON.stringify(value);
  return unstorable.test(text) ? JSON.stringify(storable(value)) : text;
};

/** A value for a `jsonb` column. Without it the driver would send a JavaScript array as a Postgres array. */
export const jsonb = <Value>(value: Value): RawBuilder<Value> => sql<Value>`${jsonText(value)}::jsonb`;
