import type { Context } from "hono";
import { AuthFailure } from "./failure.ts";

export type JsonObject = Record<string, unknown>;

/** The fields of a request body, each read with the type it must have. Unknown fields are ignored, as hosted does. */
export interface RequestBody {
  /** A string; null when absent, null or empty. */
  text(name: string): string | null;
  /** A string that may be empty; null when absent. */
  rawText(name: string): string | null;
  /** An object; null when absent. */
  object(name: string): JsonObject | null;
  /** A boolean; null when absent. */
  flag(name: string): boolean | null;
}

/** @throws AuthFailure `bad_json` for a body that is no JSON object, or (when read) a field of another type */
export async function readBody(context: Context): Promise<RequestBody> {
  const fields = parse(await context.req.text());
  const rawText = (name: string) => read(fields, name, "a string", (value) => typeof value === "string");
  return {
    rawText,
    text: (name) => rawText(name) || null,
    object: (name) => read(fields, name, "an object", isJsonObject),
    flag: (name) => read(fields, name, "a boolean", (value) => typeof value === "boolean"),
  };
}

function parse(text: string): JsonObject {
  if (text.trim() === "") return {};
  let value: unknown;
  try {
    value = text.includes("\\u") ? JSON.parse(text, refuseUnstorable) : JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new AuthFailure(400, "bad_json", "Could not parse request body as JSON");
  }
  if (!isJsonObject(value)) throw new AuthFailure(400, "bad_json", "The request body must be a JSON object");
  return value;
}

/** Postgres stores neither NUL nor half a surrogate pair; only an escape can bring them, and would provoke a 500 there. */
function refuseUnstorable(key: string, value: unknown): unknown {
  for (const text of [key, value]) {
    if (typeof text === "string" && (text.includes("\0") || !text.isWellFormed())) {
      throw new AuthFailure(400, "bad_json", "The request body must not contain NUL or broken Unicode");
    }
  }
  return value;
}

function read<Value>(
  fields: JsonObject,
  name: string,
  wanted: string,
  isRight: (value: unknown) => value is Value,
): Value | null {
  const value = Object.hasOwn(fields, name) ? fields[name] : null;
  if (value === null || value === undefined) return null;
  if (!isRight(value))
    throw new AuthFailure(400, "bad_json", `Could not parse request body as JSON: ${name} must be ${wanted}`);
  return value;
}

function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
