import { ModelAbilities, type Usage } from "@cortex/contracts";
import { z } from "zod";
import type { UsdUnits } from "../money.ts";
import data from "./catalogue.json" with { type: "json" };

/**
 * USD for a million tokens. Four decimals at most: then one token costs a whole number of 1e-10 USD and every cost is exact.
 */
const PerMillion = z.string().regex(/^\d{1,6}(\.\d{1,4})?$/);

export const ModelPrice = z.strictObject({
  /** First day (UTC) on which it applies. */
  valid_from: z.iso.date(),
  input: PerMillion,
  /** Left out: as `input`. */
  cached_input: PerMillion.optional(),
  /** Left out: as `input`. */
  cache_write: PerMillion.optional(),
  output: PerMillion,
  /** A token of thought. Left out: as `output`. */
  reasoning: PerMillion.optional(),
});
export type ModelPrice = z.infer<typeof ModelPrice>;

export const ModelInfo = z.strictObject({
  name: z.string(),
  aliases: z.array(z.string()).default([]),
  /** Tokens. */
  context_window: z.int().positive(),
  max_output_tokens: z.int().positive(),
  abilities: ModelAbilities.strict(),
  prices: z.array(ModelPrice),
});
export type ModelInfo = z.infer<typeof ModelInfo>;

/** Every model we know a price for. The data file is the one place to change; a price change is a new entry, never an edit. */
export const modelCatalogue: readonly ModelInfo[] = z.strictObject({ models: z.array(ModelInfo) }).parse(data).models;

/** Endpoints prefix names by provider (`openai/gpt-4o`) and suffix them by date (`gpt-4o-2024-08-06`). */
const plainName = (name: string): string => name.replace(/^[a-z0-9_.-]+\//i, "").replace(/-\d{4}-\d{2}-\d{2}$/, "");

/** What is known about a model; null for a stranger. */
export const findModel = (name: string): ModelInfo | null => {
  const plain = plainName(name);
  return modelCatalogue.find((model) => model.name === plain || model.aliases.includes(plain)) ?? null;
};

/** The price on that day; null if none is known. */
export const priceAt = (model: ModelInfo | null, at: Date): ModelPrice | null => {
  const day = at.toISOString().slice(0, 10);
  const valid = (model?.prices ?? []).filter((price) => price.valid_from <= day);
  return valid.toSorted((left, right) => (left.valid_from < right.valid_from ? 1 : -1))[0] ?? null;
};

/** Units of 1e-10 USD for one token. */
export const perToken = (perMillion: string): UsdUnits => {
  const [whole = "0", fraction = ""] = perMillion.split(".");
  return BigInt(whole + fraction.padEnd(4, "0"));
};

/**
 * What a call costs, exactly. `input_tokens` includes what was read from and written to the cache, `output_tokens` includes
 * reasoning: so providers count, and so `Usage` does.
 */
export const costOf = (usage: Usage, price: ModelPrice): UsdUnits => {
  const plainInput = Math.max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens);
  const written = usage.output_tokens - usage.reasoning_tokens;
  return (
    BigInt(plainInput) * perToken(price.input) +
    BigInt(usage.cached_input_tokens) * perToken(price.cached_input ?? price.input) +
    BigInt(usage.cache_write_tokens) * perToken(price.cache_write ?? price.input) +
    BigInt(Math.max(0, written)) * perToken(price.output) +
    BigInt(usage.reasoning_tokens) * perToken(price.reasoning ?? price.output)
  );
};
