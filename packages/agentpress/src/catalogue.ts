/**
 * What the API may know of the engine: which tools there are and how they look, and which models at which price. It loads the tools'
 * own files, because the schema that a model gets stands there and nowhere else, but neither the loop nor a model adapter, and it
 * hands out nothing that could run.
 */
import { ToolManifest } from "@cortex/contracts";
import { discoverTools } from "./discover-tools.ts";

export {
  costOf,
  createCatalogue,
  fileCatalogue,
  type KnownModel,
  type ModelCatalogue,
  type ModelPrice,
  priceAt,
} from "./models/catalogue.ts";
export { type LiveCatalogue, openLiveCatalogue } from "./models/live-catalogue.ts";
/** What a model gets of a schema that is not among these. */
export { portableSchema } from "./portable-schema.ts";

/** The tools that `GET /tools` lists and that runs are given, by name; `parameters` is exactly what a model gets. Called once, at boot. */
export const loadToolCatalogue = async (): Promise<ToolManifest[]> =>
  (await discoverTools()).map(({ name, title, description, icon, effect, approval, parameters }) =>
    ToolManifest.parse({ name, title, description, icon, source: "built_in", effect, approval, parameters }),
  );
