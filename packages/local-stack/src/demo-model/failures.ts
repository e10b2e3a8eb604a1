import { ModelError } from "./model-error.ts";

interface Failure {
  status: number;
  message: string;
  type: string;
  code: string | null;
}

/**
 * The HTTP errors that `[[fail=…]]` plays, worded as OpenAI and LiteLLM word them. `budget` is 429 by status and terminal by
 * meaning, which is why a client must look at the type first.
 */
const FAILURES: ReadonlyMap<string, Failure> = new Map([
  ["400", { status: 400, message: "Invalid request.", type: "invalid_request_error", code: null }],
  [
    "401",
    { status: 401, message: "Incorrect API key provided.", type: "invalid_request_error", code: "invalid_api_key" },
  ],
  ["403", { status: 403, message: "Your key may not use this model.", type: "permission_error", code: "forbidden" }],
  [
    "404",
    { status: 404, message: "The model does not exist.", type: "invalid_request_error", code: "model_not_found" },
  ],
  ["408", { status: 408, message: "The request timed out upstream.", type: "timeout_error", code: "408" }],
  ["429", { status: 429, message: "Rate limit reached.", type: "requests", code: "rate_limit_exceeded" }],
  ["500", { status: 500, message: "The server had an error.", type: "server_error", code: "500" }],
  ["502", { status: 502, message: "Bad Gateway", type: "html", code: null }],
  ["503", { status: 503, message: "The engine is overloaded.", type: "server_error", code: "503" }],
  ["529", { status: 529, message: "Overloaded.", type: "overloaded_error", code: "529" }],
  [
    "context",
    {
      status: 400,
      message:
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 200000 tokens.",
      type: "invalid_request_error",
      code: "context_length_exceeded",
    },
  ],
  [
    "policy",
    {
      status: 400,
      message: "The request was rejected by the content policy.",
      type: "invalid_request_error",
      code: "content_policy_violation",
    },
  ],
  [
    "budget",
    {
      status: 429,
      message: "Budget has been exceeded! Current cost: 1.2, Max budget: 1.0",
      type: "budget_exceeded",
      code: "429",
    },
  ],
]);

export function isFailure(name: string): boolean {
  return FAILURES.has(name);
}

/** The error to answer with. `name` is one that `isFailure` accepted. */
export function failureError(name: string, retryAfter: string | null): ModelError {
  const failure = FAILURES.get(name) ?? {
    status: 500,
    message: `No failure '${name}'.`,
    type: "server_error",
    code: null,
  };
  return new ModelError({ ...failure, ...(retryAfter === null ? {} : { headers: { "retry-after": retryAfter } }) });
}

/** What a proxy in front of a dead upstream answers: a page, where a client expects JSON. */
export const BAD_GATEWAY_PAGE =
  "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>";
