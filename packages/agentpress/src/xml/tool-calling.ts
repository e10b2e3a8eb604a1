import type { ModelCatalogue } from "../models/catalogue.ts";

/**
 * Does this model call tools in its text?
 * @param wanted what the agent says; null: it goes by what is known of the model, and a stranger is taken to have calls of its own
 */
export const callsToolsInText = (catalogue: ModelCatalogue, model: string, wanted: "native" | "xml" | null): boolean =>
  (wanted ?? catalogue.find(model)?.abilities.tools ?? "native") === "xml";
