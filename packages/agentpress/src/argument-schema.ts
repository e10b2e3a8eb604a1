import type { ToolDeclaration } from "./model.ts";

type Schema = Readonly<Record<string, unknown>>;

const isSchema = (value: unknown): value is Schema =>
  value !== null && typeof value === "object" && !Array.isArray(value);

const isText = (value: unknown): boolean => typeof value === "string";

/** Longer chains of references and alternatives are taken as "anything". */
const maxDepth = 16;

const referenced = (root: Schema, ref: string): unknown => {
  const path = ref.startsWith("#/") ? ref.slice(2).split("/") : [];
  const keys = path.map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  return keys.reduce<unknown>((at, key) => (isSchema(at) && Object.hasOwn(at, key) ? at[key] : undefined), root);
};

/** May a value of this JSON Schema be text? */
const takesText = (schema: unknown, root: Schema, depth = 0): boolean => {
  if (!isSchema(schema) || depth > maxDepth) return schema !== false;
  const { type, enum: values, anyOf, oneOf, allOf, $ref } = schema;
  if (typeof type === "string" && type !== "string") return false;
  if (Array.isArray(type) && !type.includes("string")) return false;
  if (Object.hasOwn(schema, "const")) return isText(schema["const"]);
  if (Array.isArray(values)) return values.some(isText);
  const allows = (one: unknown) => takesText(one, root, depth + 1);
  if (typeof $ref === "string" && !allows(referenced(root, $ref))) return false;
  if (Array.isArray(anyOf) && !anyOf.some(allows)) return false;
  if (Array.isArray(oneOf) && !oneOf.some(allows)) return false;
  return !Array.isArray(allOf) || allOf.every(allows);
};

/**
 * How the value of an argument is written: as it is (`text`), wherever the schema takes text at all, or as JSON. So "007" stays text where
 * text is wanted, and is never taken for a number that was not asked for.
 */
export const writtenAs = (tool: ToolDeclaration | null, argument: string): "text" | "json" => {
  if (!tool) return "text";
  const root: Schema = tool.parameters;
  const { properties, additionalProperties } = root;
  const known = isSchema(properties) && Object.hasOwn(properties, argument);
  const schema = known ? properties[argument] : additionalProperties;
  // An argument that the tool does not know is refused by its name, whatever its type.
  return schema === false || takesText(schema, root) ? "text" : "json";
};
