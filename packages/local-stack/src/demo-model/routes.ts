import { timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { answerChat } from "./chat-completions.ts";
import { directiveList } from "./directives.ts";
import type { FaultCounter } from "./fault-counter.ts";
import { ModelError } from "./model-error.ts";
import type { RecordedRequest, RequestRecord } from "./recorded-requests.ts";
import { readJsonBody } from "./request/body.ts";
import { MODEL_NAME, TEXT_MODEL_NAME } from "./request/chat-request.ts";
import { EXAMPLES } from "./scenes/greeting.ts";
import { sendJson, sendPage } from "./wire/plain-answers.ts";

export interface RouteDeps {
  faults: FaultCounter;
  record: RequestRecord;
  apiKey: string | null;
  delayMs: number;
}

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  record: RecordedRequest;
}

const MODEL = { id: MODEL_NAME, object: "model", created: 1_767_225_600, owned_by: "cortex-demo" };
const TEXT_MODEL = { ...MODEL, id: TEXT_MODEL_NAME };

type Handler = (deps: RouteDeps, exchange: Exchange) => Promise<void> | void;

const ROUTES: Record<string, Record<string, Handler>> = {
  "/": { GET: (_deps, { response }) => sendPage(response, 200, frontPage(), "text/plain") },
  "/health": { GET: (_deps, { response }) => sendJson(response, 200, { status: "ok" }) },
  "/v1/models": {
    GET: (_deps, { response }) => sendJson(response, 200, { object: "list", data: [MODEL, TEXT_MODEL] }),
  },
  [`/v1/models/${MODEL_NAME}`]: { GET: (_deps, { response }) => sendJson(response, 200, MODEL) },
  [`/v1/models/${TEXT_MODEL_NAME}`]: { GET: (_deps, { response }) => sendJson(response, 200, TEXT_MODEL) },
  "/v1/chat/completions": { POST: chatCompletions },
};

async function chatCompletions(deps: RouteDeps, { request, response, record }: Exchange): Promise<void> {
  const { body, bytes } = await readJsonBody(request);
  deps.record.keepBody(record, body, bytes);
  await answerChat(deps, { response, body, record });
}

/** Answers one request. Throws `ModelError` while nothing was sent. */
export async function route(deps: RouteDeps, exchange: Exchange): Promise<void> {
  const { method, path } = exchange.record;
  const handlers = ROUTES[path];
  if (handlers === undefined) throw notFound(method, path);
  const handler = handlers[method];
  if (handler === undefined) {
    const allow = Object.keys(handlers).join(", ");
    throw new ModelError({ ...refusal(405, `Not allowed: ${method} ${path}.`), headers: { allow } });
  }
  if (path.startsWith("/v1/")) checkKey(deps.apiKey, exchange.request);
  await handler(deps, exchange);
}

function checkKey(apiKey: string | null, request: IncomingMessage): void {
  if (apiKey === null) return;
  const given = Buffer.from(request.headers.authorization ?? "");
  const wanted = Buffer.from(`Bearer ${apiKey}`);
  if (given.length === wanted.length && timingSafeEqual(given, wanted)) return;
  const message = given.length === 0 ? "You did not provide an API key." : "Incorrect API key provided.";
  throw new ModelError({ status: 401, message, type: "invalid_request_error", code: "invalid_api_key" });
}

function notFound(method: string, path: string): ModelError {
  return new ModelError(refusal(404, `Unknown request URL: ${method} ${path}.`));
}

function refusal(status: number, message: string): ConstructorParameters<typeof ModelError>[0] {
  return {
    status,
    message,
    type: "invalid_request_error",
    code: status === 404 ? "unknown_url" : "method_not_allowed",
  };
}

function frontPage(): string {
  return [
    "The scripted demo model: an OpenAI-compatible server without a language model behind it.",
    `Base URL: /v1, models: ${MODEL_NAME}, and ${TEXT_MODEL_NAME} without tool calls of its own`,
    `Prompts that it plays:\n${EXAMPLES.join("\n")}`,
    `Directives, anywhere in the last user message:\n${directiveList()}`,
    "",
  ].join("\n\n");
}
