import { readdir } from "node:fs/promises";
import type { Tool } from "./tool.ts";

const ownTools = new URL("./tools/", import.meta.url);

const isToolFile = (name: string): boolean =>
  /\.(ts|js)$/.test(name) && !/\.(test|d)\.(ts|js)$/.test(name) && !name.startsWith(".");

const isTool = (value: unknown): value is Tool =>
  value !== null && typeof value === "object" && "name" in value && "call" in value && typeof value.call === "function";

const loadTool = async (file: URL): Promise<Tool> => {
  const module: unknown = await import(file.href);
  const tool: unknown = module !== null && typeof module === "object" && "tool" in module ? module.tool : null;
  if (!isTool(tool)) throw new TypeError(`${file.pathname} exports no \`tool\` made with defineTool`);
  return tool;
};

/**
 * All tools: every file in the folder is one, there is no list to keep. Called once, at boot; a file that is no tool, or two tools of one
 * name, are mistakes of ours and stop it. The order is that of the names and stays: providers cache the beginning of a prompt.
 * @param folder ends with a slash; default: the tools of this package
 */
export const discoverTools = async (folder: URL = ownTools): Promise<Tool[]> => {
  const files = (await readdir(folder)).filter(isToolFile).toSorted();
  const tools = await Promise.all(files.map((file) => loadTool(new URL(file, folder))));
  const names = new Set(tools.map((tool) => tool.name));
  if (names.size !== tools.length)
    throw new TypeError(`two files in ${folder.pathname} define a tool of the same name`);
  return tools.toSorted((left, right) => (left.name < right.name ? -1 : 1));
};
