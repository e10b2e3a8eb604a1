import { type RawBuilder, sql } from "kysely";

/** A value for a `jsonb` column. Without it the driver would send a JavaScript array as a Postgres array. */
export const jsonb = <Value>(value: Value): RawBuilder<Value> => sql<Value>`${JSON.stringify(value)}::jsonb`;
