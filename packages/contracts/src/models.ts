import { z } from "zod";
import { Usd } from "./values.ts";

/** What a model can do, as far as it decides how it is asked. */
export const ModelAbilities = z
  .object({
    /** Pictures may stand in a message. */
    images: z.boolean(),
    /** Thinks before it answers, and can be told how hard. */
    reasoning: z.boolean(),
    /** `native`: the endpoint takes functions and gives back calls. `xml`: calls are written in the text. */
    tools: z.enum(["native", "xml"]),
    /** `explicit`: what is cached must be marked in the request. `automatic`: the provider finds an equal beginning by itself. */
    prompt_cache: z.enum(["explicit", "automatic", "none"]),
  })
  .meta({ id: "ModelAbilities" });
export type ModelAbilities = z.infer<typeof ModelAbilities>;

/** A model as `GET /models` lists it. What is null is not known to this installation. */
export const ModelInfo = z
  .object({
    name: z.string(),
    /** The model of a run that names none. */
    is_default: z.boolean(),
    /** Tokens. */
    context_window: z.int().positive().nullable(),
    /** Tokens. */
    max_output_tokens: z.int().positive().nullable(),
    abilities: ModelAbilities.nullable(),
    /** USD for a million tokens, today. `reasoning` is what a token of thought costs, which counts as output. */
    price: z.object({ input: Usd, cached_input: Usd, cache_write: Usd, output: Usd, reasoning: Usd }).nullable(),
  })
  .meta({ id: "ModelInfo" });
export type ModelInfo = z.infer<typeof ModelInfo>;
