import { type Json, type JsonObject, invalidRequest, isObject } from "../model-error.ts";

/** A tool that the request offers, with the JSON Schema of its arguments. */
export interface OfferedTool {
  name: string;
  parameters: JsonObject;
}

const TOOL_NAME = /^[A-Za-z0-9_-]{1,64}$/;
/** OpenAI's own bound on the number of tools in one request. */
const MAX_TOOLS = 128;

/** Checks the offered tools as OpenAI does, including those faults of a schema that it refuses. Throws `ModelError` (400). */
export function parseTools(value: Json | undefined): OfferedTool[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw invalidRequest("tools", "Invalid type for 'tools': expected an array.");
  if (value.length === 0 || value.length > MAX_TOOLS) {
    throw invalidRequest(
      "tools",
      `Invalid 'tools': expected 1 to ${MAX_TOOLS} tools; leave the parameter out for none.`,
    );
  }
  const tools = value.map((tool, index) => parseTool(tool, `tools[${index}]`));
  const names = new Set<string>();
  for (const [index, { name }] of tools.entries()) {
    if (names.has(name)) throw invalidRequest(`tools[${index}].function.name`, `Two tools have the name '${name}'.`);
    names.add(name);
  }
  return tools;
}

function parseTool(value: Json, at: string): OfferedTool {
  if (!isObject(value) || value["type"] !== "function" || !isObject(value["function"])) {
    throw invalidRequest(at, `Invalid '${at}': expected {"type": "function", "function": {…}}.`);
  }
  const { name, description, parameters, strict } = value["function"];
  if (typeof name !== "string" || !TOOL_NAME.test(name)) {
    throw invalidRequest(
      `${at}.function.name`,
      `Invalid '${at}.function.name': expected a string that matches ${TOOL_NAME.source}.`,
    );
  }
  if (description !== undefined && typeof description !== "string") {
    throw invalidRequest(
      `${at}.function.description`,
      `Invalid type for '${at}.function.description': expected a string.`,
    );
  }
  if (parameters === undefined) return { name, parameters: {} };
  const fault = schemaFault(parameters, strict === true);
  if (fault !== null) {
    const message = `Invalid schema for function '${name}': ${fault}.`;
    throw invalidRequest(`${at}.function.parameters`, message, "invalid_function_parameters");
  }
  return { name, parameters: isObject(parameters) ? parameters : {} };
}

/** What is wrong with the schema of a tool's arguments, or null. */
function schemaFault(schema: Json, strict: boolean): string | null {
  if (!isObject(schema) || schema["type"] !== "object") return 'schema must be a JSON Schema of type "object"';
  return objectFault(schema, strict, "");
}

function nestedFault(schema: Json, strict: boolean, at: string): string | null {
  if (typeof schema === "boolean") return null;
  if (!isObject(schema)) return `'${at}' is not a schema`;
  if (schema["type"] === "array") {
    const items = schema["items"];
    if (items === undefined && schema["prefixItems"] === undefined) return `array schema missing items at '${at}'`;
    return items === undefined ? null : nestedFault(items, strict, `${at}[]`);
  }
  return schema["type"] === "object" ? objectFault(schema, strict, at) : null;
}

function objectFault(schema: JsonObject, strict: boolean, at: string): string | null {
  const here = at === "" ? "the top level" : `'${at}'`;
  const properties = schema["properties"] ?? {};
  if (!isObject(properties)) return `'properties' must be an object at ${here}`;
  const names = Object.keys(properties);
  const required = schema["required"] ?? [];
  if (!Array.isArray(required)) return `'required' must be an array at ${here}`;
  const stranger = required.find((name) => typeof name !== "string" || !names.includes(name));
  if (stranger !== undefined) return `'required' names ${JSON.stringify(stranger)}, which is no property of ${here}`;
  if (strict && schema["additionalProperties"] !== false) return `'additionalProperties' must be false at ${here}`;
  if (strict && required.length !== names.length) return `'required' must name every property at ${here}`;
  for (const [name, property] of Object.entries(properties)) {
    const fault = nestedFault(property, strict, at === "" ? name : `${at}.${name}`);
    if (fault !== null) return fault;
  }
  return null;
}
