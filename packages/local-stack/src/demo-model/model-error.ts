/** Plain JSON data, as a request body holds it. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** True for `{…}`; arrays and null are not objects here. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface ModelErrorFields {
  status: number;
  message: string;
  type: string;
  code: string | null;
  param?: string | null;
  headers?: Record<string, string>;
}

/**
 * A refusal in the shape of the OpenAI API. It is no `AppError`: this server plays somebody else's product, so its errors speak
 * that product's words, and our own codes are made where the answer is read.
 */
export class ModelError extends Error {
  override readonly name = "ModelError";
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: { error: { message: string; type: string; param: string | null; code: string | null } };

  constructor(fields: ModelErrorFields) {
    super(fields.message);
    this.status = fields.status;
    this.headers = fields.headers ?? {};
    const { message, type, code, param = null } = fields;
    this.body = { error: { message, type, param, code } };
  }
}

/** A 400 that names the parameter at fault in OpenAI's notation, such as `messages[2].tool_call_id`. */
export function invalidRequest(param: string | null, message: string, code: string | null = null): ModelError {
  return new ModelError({ status: 400, message, type: "invalid_request_error", code, param });
}
