import { z } from "zod";

/** RFC 3339, UTC, with milliseconds. */
export const Timestamp = z.iso.datetime({ offset: false });
export type Timestamp = z.infer<typeof Timestamp>;

/** An amount in USD as a decimal string: exact, never a float. As wide as the `numeric(20, 10)` that keeps it. */
export const Usd = z.string().regex(/^-?\d{1,10}(\.\d{1,10})?$/);
export type Usd = z.infer<typeof Usd>;

/** Any JSON value. With a name of its own, because a schema that contains itself can only be published by reference. */
export const Json: z.ZodType<z.core.util.JSONType> = z
  .lazy(() => z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(Json), z.record(z.string(), Json)]))
  .meta({ id: "Json" });

/** A JSON object as callers may attach it; kept small so that a row stays a row. */
export const Metadata = z.record(z.string().max(128), Json);
export type Metadata = z.infer<typeof Metadata>;

/** Tokens of one model call or the sum over a run. `estimated`: the provider sent no usage and we counted ourselves. */
export const Usage = z
  .object({
    input_tokens: z.int().nonnegative(),
    cached_input_tokens: z.int().nonnegative(),
    cache_write_tokens: z.int().nonnegative(),
    output_tokens: z.int().nonnegative(),
    reasoning_tokens: z.int().nonnegative(),
    estimated: z.boolean(),
  })
  .meta({ id: "Usage" });
export type Usage = z.infer<typeof Usage>;

export const noUsage: Usage = {
  input_tokens: 0,
  cached_input_tokens: 0,
  cache_write_tokens: 0,
  output_tokens: 0,
  reasoning_tokens: 0,
  estimated: false,
};

/** The sum of two usages; estimated if either is. */
export const addUsage = (left: Usage, right: Usage): Usage => ({
  input_tokens: left.input_tokens + right.input_tokens,
  cached_input_tokens: left.cached_input_tokens + right.cached_input_tokens,
  cache_write_tokens: left.cache_write_tokens + right.cache_write_tokens,
  output_tokens: left.output_tokens + right.output_tokens,
  reasoning_tokens: left.reasoning_tokens + right.reasoning_tokens,
  estimated: left.estimated || right.estimated,
});

/** `?limit=&cursor=` of every list. The cursor is opaque. */
export const ListQuery = z.object({
  limit: z.coerce.number().int().min(1).max(200).default(50),
  cursor: z.string().max(512).optional(),
});
export type ListQuery = z.infer<typeof ListQuery>;

/** The answer of every list. */
export const page = <Item extends z.ZodType>(item: Item) =>
  z.object({ data: z.array(item), next_cursor: z.string().nullable() });
export interface Page<Item> {
  data: Item[];
  next_cursor: string | null;
}
