import { Validator } from "@cfworker/json-schema";
import { search } from "@jmespath-community/jmespath";
import { HelperError } from "./helper-error.ts";

export type JsonValue = string | number | boolean | null | JsonValue[] | { [key: string]: JsonValue };

/** @throws HelperError with line and column of the mistake */
export const parseJson = (text: string): JsonValue => {
  try {
    return JSON.parse(text) as JsonValue;
  } catch (error) {
    const message = error instanceof Error ? error.message : "";
    const at = /position (\d+)/.exec(message)?.[1];
    if (at === undefined) throw new HelperError(`This is no JSON: ${message}`);
    const before = text.slice(0, Number(at)).split("\n");
    throw new HelperError(
      `This is no JSON: ${message.split(" in JSON")[0] ?? ""}, line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1}.`,
    );
  }
};

/** Beyond it JSON is written without white space. */
const maxIndentedChars = 5_000;

const stepInto = (value: JsonValue, key: string): JsonValue | undefined => {
  if (Array.isArray(value)) return /^(0|[1-9]\d*)$/.test(key) ? value[Number(key)] : undefined;
  if (value === null || typeof value !== "object") return undefined;
  return Object.hasOwn(value, key) ? value[key] : undefined;
};

/** What a JSON Pointer (RFC 6901) names. @throws HelperError nothing */
const atPointer = (value: JsonValue, pointer: string): JsonValue => {
  if (pointer !== "" && !pointer.startsWith("/")) throw new HelperError("A JSON Pointer is empty or begins with /.");
  let found: JsonValue | undefined = value;
  for (const token of pointer.split("/").slice(1)) {
    found = stepInto(found, token.replaceAll("~1", "/").replaceAll("~0", "~"));
    if (found === undefined) throw new HelperError(`There is nothing at ${pointer}: "${token}" is missing.`);
  }
  return found;
};

/** What a JSON Pointer or a JMESPath expression finds in a JSON text, as JSON. */
export const queryJson = ({
  text,
  pointer,
  query,
}: {
  text: string;
  pointer: string | null;
  query: string | null;
}): string => {
  let value = parseJson(text);
  if (pointer !== null) value = atPointer(value, pointer);
  if (query !== null) {
    try {
      value = search(value, query);
    } catch (error) {
      throw new HelperError(`The JMESPath expression failed: ${error instanceof Error ? error.message : ""}`);
    }
  }
  const compact = JSON.stringify(value ?? null);
  // White space grows with the square of the depth.
  return compact.length > maxIndentedChars ? compact : JSON.stringify(value ?? null, null, 2);
};

/** Problems of one answer; one mistake often shows as several. */
const maxProblems = 50;

/** Checks a JSON text against a JSON Schema (draft 2020-12, interpreted: nothing of it is compiled). @returns what is wrong, nothing if it fits */
export const checkJson = ({ text, schema }: { text: string; schema: unknown }): string[] => {
  const value = parseJson(text);
  if (typeof schema !== "boolean" && (typeof schema !== "object" || schema === null)) {
    throw new HelperError("The schema is neither an object nor a boolean.");
  }
  try {
    const { errors } = new Validator(schema, "2020-12", false).validate(value);
    return errors.slice(0, maxProblems).map((one) => `${one.instanceLocation}: ${one.error}`);
  } catch (error) {
    throw new HelperError(`The schema cannot be used: ${error instanceof Error ? error.message : ""}`);
  }
};
