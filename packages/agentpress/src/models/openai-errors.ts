import type { RunErrorCode } from "@cortex/contracts";
import { APIConnectionError, APIError, APIUserAbortError } from "openai";
import { headOf, storableText } from "../storable.ts";
import { ModelError, type ModelErrorFacts, sentenceFor } from "../errors.ts";

/** Longest text of an endpoint that is kept for the log. Characters. */
const maxDetail = 1_000;

/** Longest text of an endpoint that a user gets to read. Characters. */
const maxQuote = 300;

type Phase = ModelErrorFacts["phase"];

/** The text of an endpoint, without the key that it may echo. */
const cleaned = (text: string, apiKey: string): string => {
  const withoutKey = apiKey.length >= 4 ? text.replaceAll(apiKey, "[key]") : text;
  return headOf(storableText(withoutKey.replace(/\b(sk|Bearer)[- ][\w*.-]{6,}/g, "[key]")), maxDetail);
};

/** Marks of a meaning, in the `type`, `code` or message of an error. They come before the status, because the status varies. */
const meanings: readonly (readonly [RegExp, RunErrorCode])[] = [
  // LiteLLM says 429 or 400 for a used-up budget, OpenAI 429: waiting does not help, so it must not count as a rate limit.
  [
    /budget_exceeded|budget has been exceeded|exceeded ?budget|over budget|crossed budget|insufficient_quota|billing_hard_limit|credit balance is too low/i,
    "model_budget",
  ],
  // OpenAI and LiteLLM; Anthropic twice; Bedrock; Gemini; llama.cpp.
  [
    /context_length_exceeded|contextwindowexceeded|maximum context length|prompt is too long|exceed context limit|input is too long|input token count.{0,40}exceeds|exceeds the available context/i,
    "context_overflow",
  ],
  // OpenAI and LiteLLM; Azure twice; OpenAI's reasoning models; guardrails of a LiteLLM.
  [
    /content_policy_violation|contentpolicyviolation|content_filter|responsibleaipolicyviolation|content management policy|violating our usage policy|violated.{0,20}guardrail/i,
    "model_refused",
  ],
  // LiteLLM says it with 400 as well.
  [/invalid_api_key|auth_error|authenticationerror|authentication error/i, "model_auth"],
];

/** In an error inside a stream there is no status; its type says what a status would. */
const statusByType: readonly (readonly [RegExp, number])[] = [
  [/overloaded/i, 529],
  [/rate_limit|throttling/i, 429],
  [/authentication|permission/i, 401],
  [/invalid_request/i, 400],
];

const statusOf = (error: APIError, marks: string): number => {
  if (error.status !== undefined) return error.status;
  const code = Number(error.code);
  if (Number.isInteger(code) && code >= 400 && code < 600) return code;
  return statusByType.find(([mark]) => mark.test(marks))?.[1] ?? 500;
};

const codeByStatus = (status: number): RunErrorCode => {
  if (status === 429) return "model_rate_limited";
  if (status === 401 || status === 403) return "model_auth";
  if (status === 402) return "model_budget";
  if (status === 413) return "context_overflow";
  if (status === 408 || status === 409 || status === 425 || status >= 500) return "model_upstream";
  return "model_bad_request";
};

/** Milliseconds that the endpoint asks us to wait; undefined if it does not say. */
const retryAfterMs = (headers: Headers | undefined, now: Date): number | undefined => {
  const exact = Number(headers?.get("retry-after-ms") ?? Number.NaN);
  if (exact >= 0) return exact;
  const text = headers?.get("retry-after");
  if (!text) return undefined;
  const wait = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now.getTime();
  return Number.isFinite(wait) ? Math.max(0, wait) : undefined;
};

const fromApi = (error: APIError, phase: Phase, apiKey: string): ModelError => {
  const marks = `${error.type ?? ""} ${error.code ?? ""} ${error.message}`;
  const status = statusOf(error, `${error.type ?? ""} ${error.code ?? ""}`);
  const code = meanings.find(([mark]) => mark.test(marks))?.[1] ?? codeByStatus(status);
  const detail = cleaned(error.message, apiKey);
  // What the user can act on is quoted; anything else an endpoint says may name its own insides.
  const quoted = code === "model_bad_request" ? `${sentenceFor(code)} It said: ${headOf(detail, maxQuote)}` : undefined;
  const facts: ModelErrorFacts = {
    phase,
    status,
    detail,
    callId: error.headers?.get("x-litellm-call-id") ?? error.requestID ?? undefined,
    retryAfterMs: retryAfterMs(error.headers, new Date()),
  };
  return new ModelError(code, facts, quoted);
};

/** `instanceof` alone infers a class of three unknown parameters. */
const isApiError = (thrown: unknown): thrown is APIError => thrown instanceof APIError;

/** What the SDK or the connection threw, by its meaning. Aborts are not errors and must have been told apart before. */
export const classify = (thrown: unknown, phase: Phase, apiKey: string): ModelError => {
  if (thrown instanceof ModelError) return thrown;
  const refused = !(thrown instanceof APIConnectionError || thrown instanceof APIUserAbortError);
  if (refused && isApiError(thrown)) return fromApi(thrown, phase, apiKey);
  const detail = cleaned(thrown instanceof Error ? thrown.message : String(thrown), apiKey);
  const facts: ModelErrorFacts = { phase, detail, cause: thrown };
  if (phase === "request") return new ModelError("model_upstream", facts);
  // Inside an answer there are only two more ways: a line that does not parse, and a connection that broke.
  return new ModelError(thrown instanceof SyntaxError ? "model_malformed" : "model_stream_broken", facts);
};
