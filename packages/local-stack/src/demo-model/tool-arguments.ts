import { isObject } from "./model-error.ts";
import type { OfferedTool } from "./request/tools.ts";

/**
 * Finds out from a tool's JSON Schema which argument takes what: the first of `words` that names a property exactly wins, then
 * one that is part of a name, then the schema's first property. Null if the tool takes no arguments.
 */
export function argumentName(tool: OfferedTool, words: readonly [string, ...string[]]): string | null {
  const names = propertyNames(tool);
  for (const word of words) if (names.includes(word)) return word;
  for (const word of words) {
    const containing = names.find((name) => name.toLowerCase().includes(word));
    if (containing !== undefined) return containing;
  }
  return names[0] ?? null;
}

/** Arguments for a tool from `[value, words of its argument]` pairs; a value that finds no argument is left out. */
export function toolArguments(
  tool: OfferedTool,
  values: readonly (readonly [value: string, words: readonly [string, ...string[]]])[],
): Record<string, string> {
  const args: Record<string, string> = {};
  for (const [value, words] of values) {
    const name = argumentName(tool, words);
    if (name !== null && !Object.hasOwn(args, name)) args[name] = value;
  }
  return args;
}

export function hasArgument(tool: OfferedTool, name: string): boolean {
  return propertyNames(tool).includes(name);
}

function propertyNames(tool: OfferedTool): string[] {
  const properties = tool.parameters["properties"];
  return isObject(properties) ? Object.keys(properties) : [];
}
