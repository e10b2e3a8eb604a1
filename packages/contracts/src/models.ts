import { z } from "zod";
import { Usd } from "./values.ts";

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
    /** USD for a million tokens, today. */
    price: z.object({ input: Usd, cached_input: Usd, cache_write: Usd, output: Usd }).nullable(),
  })
  .meta({ id: "ModelInfo" });
export type ModelInfo = z.infer<typeof ModelInfo>;
