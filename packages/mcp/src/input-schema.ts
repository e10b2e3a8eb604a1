import { Validator } from "@cfworker/json-schema";

/** Sizes that no honest tool needs; a hostile one must not fill prompts, or make a check of arguments take for ever. */
const maxSchemaChars = 32_000;
const maxDepth = 40;
/** Of the schema with every reference in place. Bounds what a check costs: references to references would grow without end. */
const maxNodes = 5_000;

/** Keywords whose cost a stranger sets: patterns can take exponential time, comparing all with all quadratic. The server checks them itself. */
const costly = new Set(["pattern", "patternProperties", "uniqueItems", "format", "$dynamicRef", "$recursiveRef"]);

export type InputSchema = { ok: true; check: (args: unknown) => string | null } | { ok: false; problem: string };

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

class SchemaProblem extends Error {}

/** What `#/a/b` points at in the document. */
const lookUp = (document: Json, reference: string): unknown => {
  if (reference === "#") return document;
  if (!reference.startsWith("#/")) throw new SchemaProblem("it refers to another document");
  let at: unknown = document;
  for (const part of reference.slice(2).split("/")) {
    const key = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
    at = (isObject(at) || Array.isArray(at)) && Object.hasOwn(at, key) ? Reflect.get(at, key) : undefined;
  }
  if (at === undefined) throw new SchemaProblem(`it refers to ${reference}, which it does not have`);
  return at;
};

/** The schema with every reference in place and nothing costly in it. A reference to itself allows everything from there on. */
const expand = (document: Json): unknown => {
  let nodes = 0;
  const visit = (value: unknown, depth: number, within: readonly string[]): unknown => {
    nodes += 1;
    if (nodes > maxNodes) throw new SchemaProblem("it is too large with its references in place");
    if (depth > maxDepth) throw new SchemaProblem("it is nested too deeply");
    if (Array.isArray(value)) return value.map((each) => visit(each, depth + 1, within));
    if (!isObject(value)) return value;
    const { $ref: reference } = value;
    if (typeof reference === "string") {
      return within.includes(reference) ? {} : visit(lookUp(document, reference), depth + 1, [...within, reference]);
    }
    const kept = Object.entries(value).filter(([key]) => !costly.has(key) && key !== "$defs" && key !== "definitions");
    return Object.fromEntries(kept.map(([key, each]) => [key, visit(each, depth + 1, within)]));
  };
  return visit(document, 0, []);
};

const types = new Set(["array", "boolean", "integer", "null", "number", "object", "string"]);

/** What no JSON Schema may hold, as far as a check would stumble over it. */
const misshapen = (schema: unknown): string | null => {
  if (typeof schema === "boolean") return null;
  if (!isObject(schema)) return "a part of it is no schema";
  const { type, properties, required, items, enum: values } = schema;
  const named = Array.isArray(type) ? type : type === undefined ? [] : [type];
  if (!named.every((each) => typeof each === "string" && types.has(each))) return "a type of it is no type of JSON";
  if (properties !== undefined && !isObject(properties)) return "its properties are no object";
  if (required !== undefined && !(Array.isArray(required) && required.every((each) => typeof each === "string")))
    return "its required names are no list of names";
  if (values !== undefined && !Array.isArray(values)) return "its enum is no list";
  const lists = [schema["anyOf"], schema["oneOf"], schema["allOf"]].filter((each) => each !== undefined);
  if (!lists.every((each) => Array.isArray(each))) return "its alternatives are no list";
  const ofItems: unknown[] = Array.isArray(items) ? items : items === undefined ? [] : [items];
  const parts: unknown[] = [
    ...(isObject(properties) ? Object.values(properties) : []),
    ...ofItems,
    ...(lists.flat() as unknown[]),
    ...["not", "if", "then", "else", "additionalProperties", "propertyNames", "contains"].flatMap((key) =>
      schema[key] === undefined ? [] : [schema[key]],
    ),
  ];
  return parts.map(misshapen).find((problem) => problem !== null) ?? null;
};

const maxProblems = 10;

/**
 * Reads the schema of a stranger's tool. It is interpreted, never compiled to code, and a check is linear in the schema's bounded size for each
 * part of the arguments.
 */
export const readInputSchema = (schema: unknown): InputSchema => {
  try {
    if (!isObject(schema)) throw new SchemaProblem("it is no object");
    if (JSON.stringify(schema).length > maxSchemaChars) throw new SchemaProblem("it is too long");
    const expanded = expand(schema);
    const problem = misshapen(expanded);
    if (problem !== null) throw new SchemaProblem(problem);
    if (!isObject(expanded) || expanded["type"] !== "object") throw new SchemaProblem("arguments must be an object");
    const validator = new Validator(expanded, "2020-12", false);
    return {
      ok: true,
      check: (args) => {
        const { valid, errors } = validator.validate(args);
        if (valid) return null;
        // The innermost say what is wrong; the others only that something is.
        const told = errors
          .filter(({ keyword }) => keyword !== "properties" && keyword !== "items")
          .slice(0, maxProblems);
        return told.map(({ instanceLocation, error }) => `- ${instanceLocation}: ${error}`).join("\n");
      },
    };
  } catch (error) {
    if (error instanceof SchemaProblem)
      return { ok: false, problem: `its input schema cannot be used: ${error.message}` };
    if (error instanceof RangeError || error instanceof TypeError || error instanceof URIError)
      return { ok: false, problem: "its input schema is no JSON Schema" };
    throw error;
  }
};
