import { writtenAs } from "./argument-schema.ts";
import type { ToolDeclaration } from "./model.ts";
import type { Json } from "./storable.ts";
import { parseJson } from "./tool-arguments.ts";

/** The value that this text spells, if it spells it exactly as we would: "5" is 5, but "05", "5.0" and "1e3" are not taken for numbers. */
const spelled = (text: string): Json | undefined => {
  const read = parseJson(text);
  if (!read.ok || typeof read.value === "string") return undefined;
  const isWhole = read.value !== null && typeof read.value === "object";
  return isWhole || JSON.stringify(read.value) === text ? read.value : undefined;
};

/**
 * Arguments with those values read that a model put into quotation marks by mistake: text where the schema takes no text, which spells a value
 * exactly. The same object if there are none. Whoever calls this checks the result: it is only worth trying when the arguments do not fit.
 */
export const unquoted = (tool: ToolDeclaration, args: Json): Json => {
  if (args === null || typeof args !== "object" || Array.isArray(args)) return args;
  let found = false;
  const entries = Object.entries(args).map(([name, value]): [string, Json] => {
    if (typeof value !== "string" || writtenAs(tool, name) === "text") return [name, value];
    const meant = spelled(value);
    if (meant === undefined) return [name, value];
    found = true;
    return [name, meant];
  });
  return found ? Object.fromEntries(entries) : args;
};
