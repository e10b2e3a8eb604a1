import { Validator } from "@cfworker/json-schema";

/** Sizes that no honest tool needs; a hostile one must not fill prompts, or make a check of arguments take for ever. */
const maxSchemaChars = 32_000;
const maxDepth = 40;
/** Of the schema with every reference in place. Bounds what a check costs: references to references would grow without end. */
const maxNodes = 5_000;

export type InputSchema =
  | {
      ok: true;
      /** As models get it: what their providers refuse in any schema is put right. */
      parameters: Record<string, unknown>;
      check: (args: unknown) => string | null;
    }
  | { ok: false; problem: string };

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

const types = new Set(["array", "boolean", "integer", "null", "number", "object", "string"]);
const isTypes = (value: unknown): boolean =>
  (Array.isArray(value) ? value : [value]).every((each) => typeof each === "string" && types.has(each));
const isNames = (value: unknown): boolean => Array.isArray(value) && value.every((each) => typeof each === "string");

/** Keywords that hold schemas. */
const ofOne = new Set(["additionalProperties", "propertyNames", "contains", "not", "if", "then", "else"]);
const ofMany = new Set(["anyOf", "oneOf", "allOf", "prefixItems"]);
/** Keywords that hold something else, and what. */
const plain = new Map<string, readonly [is: (value: unknown) => boolean, problem: string]>([
  ["type", [isTypes, "a type of it is no type of JSON"]],
  ["required", [isNames, "its required names are no list of names"]],
  ["enum", [Array.isArray, "its enum is no list"]],
  ["const", [() => true, ""]],
  ...(
    "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf minLength maxLength minItems maxItems minContains maxContains " +
    "minProperties maxProperties"
  )
    .split(" ")
    .map((keyword): [string, readonly [(value: unknown) => boolean, string]] => [
      keyword,
      // Old schemas have a yes or no at `exclusiveMinimum`.
      [(value) => typeof value === "number" || typeof value === "boolean", `its ${keyword} is no number`],
    ]),
]);

/**
 * The schema with every reference in place, and of its keywords only those that a check needs and that cost little: patterns can take
 * exponential time, comparing all with all quadratic; what is left out the server checks itself. A reference to itself allows everything from
 * there on.
 */
const expand = (document: Json): { expanded: unknown; nodes: number } => {
  let nodes = 0;
  const count = (depth: number) => {
    nodes += 1;
    if (nodes > maxNodes) throw new SchemaProblem("it is too large with its references in place");
    if (depth > maxDepth) throw new SchemaProblem("it is nested too deeply");
  };
  const data = (value: unknown, depth: number): unknown => {
    count(depth);
    if (typeof value === "object" && value !== null) for (const each of Object.values(value)) data(each, depth + 1);
    return value;
  };
  const visit = (value: unknown, depth: number, within: readonly string[]): unknown => {
    count(depth);
    if (typeof value === "boolean") return value;
    if (!isObject(value)) throw new SchemaProblem("a part of it is no schema");
    const { $ref: reference } = value;
    if (typeof reference === "string")
      return within.includes(reference) ? {} : visit(lookUp(document, reference), depth + 1, [...within, reference]);
    const inner = (each: unknown) => visit(each, depth + 1, within);
    const many = (each: unknown) => {
      if (!Array.isArray(each)) throw new SchemaProblem("its alternatives are no list");
      return each.map(inner);
    };
    const kept = Object.entries(value).flatMap(([keyword, said]): [string, unknown][] => {
      if (keyword === "properties") {
        if (!isObject(said)) throw new SchemaProblem("its properties are no object");
        // Their names are data: one may be called like a keyword.
        return [[keyword, Object.fromEntries(Object.entries(said).map(([name, each]) => [name, inner(each)]))]];
      }
      if (ofOne.has(keyword)) return [[keyword, inner(said)]];
      if (ofMany.has(keyword)) return [[keyword, many(said)]];
      if (keyword === "items") return [[keyword, Array.isArray(said) ? many(said) : inner(said)]];
      const [is, problem] = plain.get(keyword) ?? [];
      if (is === undefined) return [];
      if (!is(said)) throw new SchemaProblem(problem ?? "");
      return typeof said === "boolean" && keyword !== "const" ? [] : [[keyword, data(said, depth + 1)]];
    });
    return Object.fromEntries(kept);
  };
  const expanded = visit(document, 0, []);
  return { expanded, nodes };
};

/** What OpenAI and Anthropic take as the name of an argument. */
const argumentName = /^[\w.-]{1,64}$/;
/** What they refuse at the top, where it says how arguments depend on each other. The server checks that itself. */
const refusedAtTop = new Set(["anyOf", "oneOf", "allOf", "not", "enum", "const", "if", "then", "else"]);

/** OpenAI wants lists to say what they hold, and objects to require nothing that they do not have. */
const putRight = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(putRight);
  if (!isObject(value)) return value;
  const schema: Json = Object.fromEntries(Object.entries(value).map(([key, each]) => [key, putRight(each)]));
  const { type, items, properties = {}, required } = schema;
  const isList = type === "array" || (Array.isArray(type) && type.includes("array"));
  if (isList && items === undefined) return { ...schema, items: {} };
  if (type !== "object" || !isObject(properties) || !Array.isArray(required)) return schema;
  return { ...schema, required: required.filter((name) => Object.hasOwn(properties, String(name))) };
};

/** One schema that a provider refuses is a request that fails, and so every run of the account. */
const forModels = (schema: Json): Json => {
  const { properties = {}, ...rest } = schema;
  if (isObject(properties) && !Object.keys(properties).every((name) => argumentName.test(name)))
    throw new SchemaProblem("models cannot write the names of its arguments");
  const kept = Object.entries(rest).filter(([keyword]) => !refusedAtTop.has(keyword));
  const whole = putRight({ ...Object.fromEntries(kept), properties });
  return isObject(whole) ? whole : {};
};

const maxProblems = 10;
/**
 * Nodes of a schema, times values of the arguments. Each pair may be a comparison and a finding, which are collected before the first is told:
 * this many are some 20 MB and 0.1 s. Arguments beyond it only the server checks.
 */
const maxWork = 50_000;
const charsLikeOneValue = 100;

const valuesIn = (value: unknown): number => {
  if (typeof value === "string") return 1 + value.length / charsLikeOneValue;
  if (typeof value !== "object" || value === null) return 1;
  return Object.values(value).reduce((sum: number, each) => sum + valuesIn(each), 1);
};

/**
 * Reads the schema of a stranger's tool. It is interpreted, never compiled to code, and what a check costs is bounded.
 */
export const readInputSchema = (schema: unknown): InputSchema => {
  try {
    if (!isObject(schema)) throw new SchemaProblem("it is no object");
    if (JSON.stringify(schema).length > maxSchemaChars) throw new SchemaProblem("it is too long");
    if (schema["type"] !== "object" || schema["$ref"] !== undefined)
      throw new SchemaProblem("arguments must be an object");
    const { expanded, nodes } = expand(schema);
    if (!isObject(expanded)) throw new SchemaProblem("arguments must be an object");
    const parameters = forModels(schema);
    const validator = new Validator(expanded, "2020-12", false);
    return {
      ok: true,
      parameters,
      check: (args) => {
        if (nodes * valuesIn(args) > maxWork) return null;
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
