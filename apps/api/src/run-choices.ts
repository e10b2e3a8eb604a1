import { AppError, type CreateAgentVersion, type ModelInfo, type ToolManifest } from "@cortex/contracts";
import { type ModelCatalogue, priceAt } from "@cortex/agentpress/catalogue";

/** What a start may ask for in this installation. */
export interface RunChoices {
  models: () => ModelInfo[];
  tools: readonly ToolManifest[];
  /** @throws AppError `unknown_model` */
  checkModel: (model: string) => void;
  /** @throws AppError `unknown_tool` */
  checkTools: (tools: readonly string[]) => void;
  /** The same for everything that a version of an agent names. Error: `unknown_model`, `unknown_tool` */
  checkVersion: (version: CreateAgentVersion) => void;
}

const toModelInfo = (catalogue: ModelCatalogue, name: string, defaultModel: string): ModelInfo => {
  const known = catalogue.find(name);
  const price = priceAt(known, new Date());
  return {
    name,
    is_default: name === defaultModel,
    context_window: known?.context_window ?? null,
    max_output_tokens: known?.max_output_tokens ?? null,
    abilities: known?.abilities ?? null,
    price: price && {
      input: price.input,
      cached_input: price.cached_input ?? price.input,
      cache_write: price.cache_write ?? price.input,
      output: price.output,
      reasoning: price.reasoning ?? price.output,
    },
  };
};

/**
 * @param input.catalogue what is known about models at the moment
 * @param input.models the models that may be asked for; null: whatever the endpoint serves, so none is refused and those we know are listed
 */
export const createRunChoices = (input: {
  defaultModel: string;
  models: readonly string[] | null;
  tools: readonly ToolManifest[];
  catalogue: () => ModelCatalogue;
}): RunChoices => {
  const { defaultModel, models, tools } = input;
  const names = (catalogue: ModelCatalogue) =>
    new Set(models ?? [defaultModel, ...catalogue.models.map((model) => model.name)]);
  const toolNames = new Set(tools.map((tool) => tool.name));
  const checkModel = (model: string): void => {
    if (models !== null && !models.includes(model))
      throw new AppError("unknown_model", `This installation has no model ${model}.`);
  };
  const checkTools = (asked: readonly string[]): void => {
    // Tools of servers come and go; a run leaves out what is not there, and says so.
    const unknown = asked.find((name) => !toolNames.has(name) && !name.startsWith("mcp_"));
    if (unknown !== undefined) throw new AppError("unknown_tool", `There is no tool ${unknown}.`);
  };
  return {
    models: () => {
      const catalogue = input.catalogue();
      return [...names(catalogue)].map((name) => toModelInfo(catalogue, name, defaultModel));
    },
    tools,
    checkModel,
    checkTools,
    checkVersion: (version) => {
      for (const model of [version.model ?? [], version.fallback_models].flat()) checkModel(model);
      checkTools([...(version.tools ?? []), ...Object.keys(version.approvals)]);
    },
  };
};
