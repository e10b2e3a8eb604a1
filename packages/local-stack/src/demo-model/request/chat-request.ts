import { type Json, type JsonObject, ModelError, invalidRequest, isObject } from "../model-error.ts";
import { type ChatMessage, parseMessages } from "./messages.ts";
import { readTextTools } from "./text-tools.ts";
import { type OfferedTool, parseTools } from "./tools.ts";
import { promptTokens } from "./prompt-tokens.ts";

/** The model of this server; its name says what it is. */
export const MODEL_NAME = "demo";

/** The same without tool calls of its own: an engine has to teach it to write them in its text. */
export const TEXT_MODEL_NAME = "demo-xml";

/** A `chat.completions` request that passed every check. */
export interface ChatRequest {
  messages: ChatMessage[];
  tools: OfferedTool[];
  stream: boolean;
  includeUsage: boolean;
  maxTokens: number | null;
  /** What calls in the text carry; null: calls are not part of the text. */
  mark: string | null;
  promptTokens: number;
}

/**
 * Everything a client may send: OpenAI's parameters and what LiteLLM adds to them. A name outside this list is refused as the
 * real API does, because a misspelled `max_token` that is silently ignored is found only on the bill.
 */
const KNOWN_PARAMETERS = new Set(
  (
    "model messages tools tool_choice parallel_tool_calls stream stream_options max_tokens max_completion_tokens temperature " +
    "top_p n stop seed presence_penalty frequency_penalty logit_bias logprobs top_logprobs response_format user metadata store " +
    "service_tier reasoning_effort verbosity modalities prediction prompt_cache_key prompt_cache_retention safety_identifier " +
    "tags fallbacks litellm_session_id litellm_trace_id litellm_metadata"
  ).split(" "),
);

/** Checks a request body as strictly as the strictest provider behind a proxy would. Throws `ModelError` (400). */
export function parseChatRequest(body: Json): ChatRequest {
  if (!isObject(body)) throw invalidRequest(null, "The body must be a JSON object.");
  for (const name of Object.keys(body)) {
    if (!KNOWN_PARAMETERS.has(name)) throw invalidRequest(name, `Unrecognized request argument supplied: ${name}.`);
  }
  checkModel(body["model"]);
  checkNumbers(body);
  const stream = booleanOr(body, "stream", false);
  const tools = parseTools(body["tools"]);
  const usable = checkToolChoice(body, tools) === "none" ? [] : tools;
  const messages = parseMessages(body["messages"]);
  if (body["model"] === TEXT_MODEL_NAME && tools.length > 0) {
    throw invalidRequest("tools", `The model '${TEXT_MODEL_NAME}' does not support tools.`);
  }
  const inText = body["model"] === TEXT_MODEL_NAME ? readTextTools(messages) : null;
  return {
    messages: inText?.messages ?? messages,
    tools: inText?.tools ?? usable,
    mark: inText?.mark ?? null,
    stream,
    includeUsage: parseStreamOptions(body["stream_options"], stream),
    maxTokens: positiveOrNull(body, "max_completion_tokens") ?? positiveOrNull(body, "max_tokens"),
    promptTokens: promptTokens(messages, tools),
  };
}

function checkModel(model: Json | undefined): void {
  if (typeof model !== "string" || model === "") throw invalidRequest("model", "You must provide a model parameter.");
  if (model === MODEL_NAME || model === TEXT_MODEL_NAME) return;
  throw new ModelError({
    status: 400,
    message: `The model \`${model}\` does not exist. This server has \`${MODEL_NAME}\` and \`${TEXT_MODEL_NAME}\`.`,
    type: "invalid_request_error",
    code: "model_not_found",
    param: "model",
  });
}

function checkNumbers(body: JsonObject): void {
  within(body, "temperature", 0, 2);
  within(body, "top_p", 0, 1);
  within(body, "presence_penalty", -2, 2);
  within(body, "frequency_penalty", -2, 2);
  within(body, "n", 1, 1);
  const format = body["response_format"];
  if (format !== undefined && (!isObject(format) || format["type"] !== "text")) {
    throw invalidRequest("response_format", "The demo model is scripted and speaks plain text only.");
  }
}

function within(body: JsonObject, name: string, low: number, high: number): void {
  const value = body[name];
  if (value === undefined || value === null) return;
  if (typeof value !== "number" || value < low || value > high) {
    throw invalidRequest(name, `Invalid '${name}': expected a number from ${low} to ${high}.`);
  }
}

function positiveOrNull(body: JsonObject, name: string): number | null {
  const value = body[name];
  if (value === undefined || value === null) return null;
  if (typeof value === "number" && Number.isInteger(value) && value > 0) return value;
  throw invalidRequest(name, `Invalid '${name}': expected a positive integer.`);
}

function booleanOr(body: JsonObject, name: string, fallback: boolean): boolean {
  const value = body[name];
  if (value === undefined || value === null) return fallback;
  if (typeof value === "boolean") return value;
  throw invalidRequest(name, `Invalid '${name}': expected a boolean.`);
}

function parseStreamOptions(options: Json | undefined, stream: boolean): boolean {
  if (options === undefined || options === null) return false;
  if (!stream) {
    throw invalidRequest("stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled.");
  }
  if (!isObject(options)) throw invalidRequest("stream_options", "Invalid 'stream_options': expected an object.");
  return booleanOr(options, "include_usage", false);
}

function checkToolChoice(body: JsonObject, tools: OfferedTool[]): "auto" | "none" {
  booleanOr(body, "parallel_tool_calls", true);
  for (const name of ["tool_choice", "parallel_tool_calls"]) {
    if (tools.length > 0 || body[name] === undefined || body[name] === null) continue;
    throw invalidRequest(name, `'${name}' is only allowed when 'tools' are specified.`);
  }
  const choice = body["tool_choice"];
  if (choice === undefined || choice === null) return "auto";
  if (choice === "auto" || choice === "none") return choice;
  throw invalidRequest("tool_choice", "The demo model plays its script: 'tool_choice' may be 'auto' or 'none'.");
}
