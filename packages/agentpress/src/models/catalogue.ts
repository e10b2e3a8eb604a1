import { ModelAbilities, type Usage } from "@cortex/contracts";
import { z } from "zod";
import type { UsdUnits } from "../money.ts";
import data from "./catalogue.json" with { type: "json" };

/**
 * USD for a million tokens. Four decimals at most: then one token costs a whole number of 1e-10 USD and every cost is exact.
 */
const PerMillion = z.string().regex(/^\d{1,6}(\.\d{1,4})?$/);

/** What tokens cost, by what they are. */
const Rates = z.strictObject({
  input: PerMillion,
  /** Left out: as `input`. */
  cached_input: PerMillion.optional(),
  /** Left out: as `input`. */
  cache_write: PerMillion.optional(),
  output: PerMillion,
  /** A token of thought. Left out: as `output`. */
  reasoning: PerMillion.optional(),
});
type Rates = z.infer<typeof Rates>;

export const ModelPrice = Rates.extend({
  /** First day (UTC) for which we know it. */
  valid_from: z.iso.date(),
  /** What every token of a call costs whose input is longer than that. */
  long_prompt: Rates.extend({ above_tokens: z.int().positive() }).optional(),
});
export type ModelPrice = z.infer<typeof ModelPrice>;

/** A model as the catalogue knows it. */
export const KnownModel = z.strictObject({
  name: z.string(),
  aliases: z.array(z.string()).default([]),
  /** Tokens of a request and its answer together; null: unknown. */
  context_window: z.int().positive().nullable(),
  /** Null: unknown. */
  max_output_tokens: z.int().positive().nullable(),
  abilities: ModelAbilities.strict(),
  prices: z.array(ModelPrice),
});
export type KnownModel = z.infer<typeof KnownModel>;

/** What is known about models: a value, which never changes. A refreshed one is another value (`proxy-models.ts`). */
export interface ModelCatalogue {
  readonly models: readonly KnownModel[];
  /** Null for a stranger. */
  find(name: string): KnownModel | null;
}

/** Endpoints prefix names by provider (`openai/gpt-4o`) and suffix them by date (`gpt-4o-2024-08-06`). */
const plainName = (name: string): string => name.replace(/^[a-z0-9_.-]+\//i, "").replace(/-\d{4}-\d{2}-\d{2}$/, "");

/** A name as it is goes before what is left of it without its prefix and its date. Of two models with one name the first one counts. */
export const createCatalogue = (models: readonly KnownModel[]): ModelCatalogue => {
  const byName = new Map<string, KnownModel>();
  for (const model of models) {
    for (const name of [model.name, ...model.aliases]) if (!byName.has(name)) byName.set(name, model);
  }
  return { models, find: (name) => byName.get(name) ?? byName.get(plainName(name)) ?? null };
};

/** The models of the data file. It is the one place to change; a price change is a new entry, never an edit. */
export const fileCatalogue: ModelCatalogue = createCatalogue(
  z.strictObject({ models: z.array(KnownModel) }).parse(data).models,
);

/** The price on that day; null if none is known. */
export const priceAt = (model: KnownModel | null, at: Date): ModelPrice | null => {
  const day = at.toISOString().slice(0, 10);
  const valid = (model?.prices ?? []).filter((price) => price.valid_from <= day);
  return valid.toSorted((left, right) => (left.valid_from < right.valid_from ? 1 : -1))[0] ?? null;
};

/** What a call with so many tokens of input is charged by. */
export const ratesFor = (price: ModelPrice, inputTokens: number): Rates =>
  price.long_prompt && inputTokens > price.long_prompt.above_tokens ? price.long_prompt : price;

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
  const rates = ratesFor(price, usage.input_tokens);
  const plainInput = Math.max(0, usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens);
  const spoken = Math.max(0, usage.output_tokens - usage.reasoning_tokens);
  return (
    BigInt(plainInput) * perToken(rates.input) +
    BigInt(usage.cached_input_tokens) * perToken(rates.cached_input ?? rates.input) +
    BigInt(usage.cache_write_tokens) * perToken(rates.cache_write ?? rates.input) +
    BigInt(spoken) * perToken(rates.output) +
    BigInt(usage.reasoning_tokens) * perToken(rates.reasoning ?? rates.output)
  );
};
