import { type JsonValue, parseJson } from "./json.ts";

/** Differences of one answer. */
const maxDifferences = 500;

/** Characters of a value that is shown. */
const maxValueChars = 200;

const shown = (value: JsonValue): string => {
  const text = JSON.stringify(value);
  return text.length <= maxValueChars ? text : `${text.slice(0, maxValueChars).toWellFormed()}…`;
};

const isBranch = (value: JsonValue | undefined): value is JsonValue[] | Record<string, JsonValue> =>
  typeof value === "object" && value !== null;

const walk = (left: JsonValue | undefined, right: JsonValue | undefined, pointer: string, found: string[]): void => {
  if (found.length >= maxDifferences) return;
  if (left === undefined && right !== undefined) found.push(`+ ${pointer}: ${shown(right)}`);
  else if (right === undefined && left !== undefined) found.push(`- ${pointer}: ${shown(left)}`);
  else if (isBranch(left) && isBranch(right) && Array.isArray(left) === Array.isArray(right)) {
    const [before, after] = [new Map(Object.entries(left)), new Map(Object.entries(right))];
    for (const key of new Set([...before.keys(), ...after.keys()])) {
      const token = key.replaceAll("~", "~0").replaceAll("/", "~1");
      walk(before.get(key), after.get(key), `${pointer}/${token}`, found);
    }
  } else if (left !== right && left !== undefined && right !== undefined) {
    found.push(`~ ${pointer}: ${shown(left)} → ${shown(right)}`);
  }
};

/**
 * What differs between two JSON texts, by JSON Pointer: added (+), removed (-), changed (~). The order of keys does not count, that of a
 * list does.
 */
export const compareJson = ({ left, right }: { left: string; right: string }): string => {
  const found: string[] = [];
  walk(parseJson(left), parseJson(right), "", found);
  if (found.length >= maxDifferences) found.push(`[Only the first ${maxDifferences} differences are shown.]`);
  return found.join("\n");
};
