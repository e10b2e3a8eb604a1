import type { ModelAbilities } from "@cortex/contracts";
import { z } from "zod";
import { createCatalogue, type KnownModel, type ModelCatalogue, type ModelPrice, perToken } from "./catalogue.ts";

/** What LiteLLM means by null and by leaving out is the same: it does not know. */
const flag = z.boolean().nullish().catch(null);
const text = z.string().max(500).nullish().catch(null);
const tokens = z.int().positive().max(1_000_000_000).nullish().catch(null);

/** One deployment in the answer of LiteLLM's `GET /model/info`. What it says wrongly about a model it does not say. */
const Deployment = z.object({
  model_name: z.string().min(1).max(200),
  litellm_params: z.object({ model: text }).nullish().catch(null),
  model_info: z
    .looseObject({
      key: text,
      mode: text,
      litellm_provider: text,
      max_input_tokens: tokens,
      max_output_tokens: tokens,
      supports_vision: flag,
      supports_reasoning: flag,
      supports_function_calling: flag,
      supports_prompt_caching: flag,
    })
    .nullish()
    .catch(null),
});
type Deployment = z.infer<typeof Deployment>;
type Info = NonNullable<Deployment["model_info"]>;

const Answer = z.object({ data: z.array(z.unknown()).max(20_000) });

/** @throws z.ZodError if it is no such answer at all; entries that are none are left out */
export const readDeployments = (body: unknown): Deployment[] =>
  Answer.parse(body).data.flatMap((entry) => {
    const read = Deployment.safeParse(entry);
    return read.success ? [read.data] : [];
  });

/** Above every price on the market; beyond it a figure is a slip of units. */
const maxPerMillion = 10_000;

/** YAML reads `1e-6` as text, and LiteLLM hands it on. */
const Amount = z.union([
  z.number(),
  z
    .string()
    .max(40)
    .regex(/^[\d.]+(e[+-]?\d+)?$/i)
    .transform(Number),
]);

/**
 * USD for a token as USD for a million; null if it is no price. Nothing is one too: LiteLLM says 0 where it knows no price.
 * Rounded up to what our prices can say.
 */
const perMillion = (perOne: unknown): string | null => {
  const amount = Amount.safeParse(perOne).data ?? Number.NaN;
  const units = Math.ceil(amount * 1e10 - 1e-6);
  return units > 0 && units <= maxPerMillion * 1e4 ? String(units / 1e4) : null;
};

/** The prices for long prompts have names like `input_cost_per_token_above_200k_tokens`. */
const longPromptName = /^input_cost_per_token_above_(\d{1,6})k_tokens$/;

const ratesOf = (info: Info, suffix: string) => {
  const input = perMillion(info[`input_cost_per_token${suffix}`]);
  const output = perMillion(info[`output_cost_per_token${suffix}`]);
  if (input === null || output === null) return null;
  const cached = perMillion(info[`cache_read_input_token_cost${suffix}`]);
  const written = perMillion(info[`cache_creation_input_token_cost${suffix}`]);
  const reasoning = perMillion(info[`output_cost_per_reasoning_token${suffix}`]);
  return {
    input,
    output,
    ...(cached === null ? {} : { cached_input: cached }),
    ...(written === null ? {} : { cache_write: written }),
    ...(reasoning === null ? {} : { reasoning }),
  };
};

const priceOf = (info: Info, day: string): ModelPrice | null => {
  const rates = ratesOf(info, "");
  if (rates === null) return null;
  const thousands = Object.keys(info)
    .flatMap((key) => longPromptName.exec(key)?.[1] ?? [])
    .map(Number)
    .filter((count) => count > 0)
    .toSorted((left, right) => left - right);
  for (const count of thousands) {
    const long = ratesOf(info, `_above_${count}k_tokens`);
    if (long) return { valid_from: day, ...rates, long_prompt: { above_tokens: count * 1_000, ...long } };
  }
  return { valid_from: day, ...rates };
};

const cacheOf = (info: Info, model: string): ModelAbilities["prompt_cache"] => {
  if (info.supports_prompt_caching !== true) return "none";
  return /anthropic|claude/i.test(`${info.litellm_provider ?? ""} ${model}`) ? "explicit" : "automatic";
};

const abilitiesOf = (info: Info, model: string): ModelAbilities => ({
  images: info.supports_vision === true,
  reasoning: info.supports_reasoning === true,
  // Only a plain no is one: most entries do not say, and most models can.
  tools: info.supports_function_calling === false ? "xml" : "native",
  prompt_cache: cacheOf(info, model),
});

const smaller = (left: number | null, right: number | null): number | null =>
  left === null || right === null ? (left ?? right) : Math.min(left, right);

const dearer = (left: readonly ModelPrice[], right: readonly ModelPrice[]): readonly ModelPrice[] => {
  const cost = ([price]: readonly ModelPrice[]) => (price ? perToken(price.input) + perToken(price.output) : -1n);
  return cost(right) > cost(left) ? right : left;
};

/** Behind one name may stand several deployments, and any of them may answer: what all can do, for what the dearest costs. */
const together = (left: KnownModel, right: KnownModel): KnownModel => ({
  ...left,
  context_window: smaller(left.context_window, right.context_window),
  max_output_tokens: smaller(left.max_output_tokens, right.max_output_tokens),
  abilities: {
    images: left.abilities.images && right.abilities.images,
    reasoning: left.abilities.reasoning && right.abilities.reasoning,
    tools: left.abilities.tools === "native" ? right.abilities.tools : "xml",
    prompt_cache: left.abilities.prompt_cache === right.abilities.prompt_cache ? left.abilities.prompt_cache : "none",
  },
  prices: [...dearer(left.prices, right.prices)],
});

/** Null: nothing that one could chat with, or nothing that is said about it. */
const knownModel = (
  file: ModelCatalogue,
  { model_name: name, ...rest }: Deployment,
  day: string,
): KnownModel | null => {
  const info = rest.model_info;
  if (name.includes("*") || !info || (info.mode && info.mode !== "chat" && info.mode !== "responses")) return null;
  const model = rest.litellm_params?.model ?? info.key ?? name;
  const base = [model, info.key ?? "", name].map((candidate) => file.find(candidate)).find((found) => found !== null);
  const price = priceOf(info, day);
  if (base) return { ...base, name, aliases: [], prices: price ? [price] : base.prices };
  const { max_input_tokens: window = null, max_output_tokens: output = null } = info;
  if (price === null && window === null) return null;
  return {
    name,
    aliases: [],
    context_window: window,
    max_output_tokens: output,
    abilities: abilitiesOf(info, model),
    prices: price ? [price] : [],
  };
};

/**
 * The data file's catalogue with what a proxy says about the models that it serves. Of a model that the file knows, under its own name or
 * behind the operator's, the file's limits and abilities count, and the proxy's price: that is what the operator is charged.
 * Pure.
 * @param now the day from which the proxy's prices count
 */
export const withProxyModels = (
  file: ModelCatalogue,
  deployments: readonly Deployment[],
  now: Date,
): ModelCatalogue => {
  const day = now.toISOString().slice(0, 10);
  const served = new Map<string, KnownModel>();
  for (const deployment of deployments) {
    const model = knownModel(file, deployment, day);
    if (!model) continue;
    const before = served.get(model.name);
    served.set(model.name, before ? together(before, model) : model);
  }
  return createCatalogue([...served.values(), ...file.models.filter((model) => !served.has(model.name))]);
};
