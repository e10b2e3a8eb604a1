import { type KnownModel, type ModelCatalogue, type ModelPrice, priceAt } from "./catalogue.ts";

/** A model that a run may ask. */
export interface AskedModel {
  /** At the endpoint. */
  readonly name: string;
  /** Null: a stranger to the catalogue. */
  readonly known: KnownModel | null;
  /** On the day on which the run went on; null: unknown, and everything costs 0. */
  readonly price: ModelPrice | null;
}

/** The models of a run, its own first, each once. */
export const askedModels = (
  catalogue: ModelCatalogue,
  input: { model: string; fallbackModels: readonly string[]; price: ModelPrice | null | undefined },
  now: Date,
): [AskedModel, ...AskedModel[]] => {
  const modelOf = (name: string): AskedModel => {
    const known = catalogue.find(name);
    return { name, known, price: priceAt(known, now) };
  };
  const first = modelOf(input.model);
  const others = new Set(input.fallbackModels);
  others.delete(input.model);
  return [input.price === undefined ? first : { ...first, price: input.price }, ...[...others].map(modelOf)];
};
