import { repairJson } from "./repair-json.ts";
import { type Json, storableJson, storableText } from "./storable.ts";

/** Deeper JSON is never what a tool wants, and recursion over it (ours, a validator's, a database's) must not overflow a stack. */
const maxDepth = 64;

export type ParsedArguments =
  | { ok: true; value: Json }
  /** `problem` is a sentence for the model. */
  | { ok: false; problem: string };

const depthOf = (text: string): number => {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (inString) {
      if (character === "\\") at += 1;
      else if (character === '"') inString = false;
    } else if (character === '"') inString = true;
    else if (character === "{" || character === "[") deepest = Math.max(deepest, (depth += 1));
    else if (character === "}" || character === "]") depth -= 1;
  }
  return deepest;
};

const parsed = (text: string): { value: Json } | { reason: string } => {
  try {
    return { value: JSON.parse(text) as Json };
  } catch (error) {
    return { reason: error instanceof Error ? storableText(error.message) : "it does not parse" };
  }
};

/** Any JSON value that a model wrote, with the slips put right that can mean only one thing, see `repairJson`. */
export const parseJson = (text: string): ParsedArguments => {
  if (depthOf(text) > maxDepth) return { ok: false, problem: `It is nested deeper than ${maxDepth} levels.` };
  const strict = parsed(text);
  const read = "value" in strict ? strict : parsed(repairJson(text));
  if ("value" in read) return { ok: true, value: storableJson(read.value) };
  // The reason of the text that the model knows, not of ours.
  return { ok: false, problem: `It is not valid JSON: ${"reason" in strict ? strict.reason : read.reason}.` };
};

/**
 * The arguments of a tool call, from the text that the model wrote. Never guesses: text that is not a JSON object is refused with the
 * reason. Empty text is an empty object, because models write that for tools without parameters.
 */
export const parseArguments = (text: string): ParsedArguments => {
  if (text.trim() === "") return { ok: true, value: {} };
  const read = parseJson(text);
  if (!read.ok) return { ok: false, problem: `The arguments cannot be read. ${read.problem} Send one JSON object.` };
  const { value } = read;
  if (value === null || typeof value !== "object" || Array.isArray(value))
    return { ok: false, problem: "The arguments must be a JSON object." };
  return read;
};

/** One text per value, whatever the order of its keys: two calls are the same when their texts are. */
export const canonical = (value: Json): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value).toSorted(([left], [right]) => (left < right ? -1 : 1));
    return `{${entries.map(([key, entry]) => `${JSON.stringify(key)}:${canonical(entry)}`).join(",")}}`;
  }
  return JSON.stringify(value);
};
