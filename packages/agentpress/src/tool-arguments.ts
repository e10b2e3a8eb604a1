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

const refusal = (text: string): ParsedArguments => {
  try {
    JSON.parse(text);
    return { ok: false, problem: "The arguments must be a JSON object." };
  } catch (error) {
    const reason = error instanceof Error ? storableText(error.message) : "it does not parse";
    return { ok: false, problem: `The arguments are not valid JSON: ${reason}. Send one JSON object.` };
  }
};

/**
 * The arguments of a tool call, from the text that the model wrote. Never guesses: text that is not a JSON object is refused with the
 * reason. Empty text is an empty object, because models write that for tools without parameters.
 */
export const parseArguments = (text: string): ParsedArguments => {
  if (text.trim() === "") return { ok: true, value: {} };
  if (depthOf(text) > maxDepth)
    return { ok: false, problem: `The arguments are nested deeper than ${maxDepth} levels.` };
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    return refusal(text);
  }
  if (value === null || typeof value !== "object" || Array.isArray(value)) return refusal(text);
  return { ok: true, value: storableJson(value) };
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
