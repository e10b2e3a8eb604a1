import { expect, test } from "vitest";
import type { AgentOutcome } from "../agent.ts";
import { behind, runBehind, testKey } from "../testing/behind-endpoint.ts";
import { ofType, play } from "../testing/run.ts";
import {
  type Answerer,
  answersText,
  callPiece,
  chunk,
  ending,
  fails,
  hangs,
  streams,
  textPiece,
} from "../testing/scripted-endpoint.ts";
import type { OpenAiModelOptions } from "./openai.ts";

const failureOf = (outcome: AgentOutcome) =>
  outcome.kind === "failed" ? { code: outcome.code, retryable: outcome.retryable } : outcome;

const faults: {
  name: string;
  answers: Answerer[];
  code: string;
  retryable: boolean;
  requests: number;
  options?: Partial<OpenAiModelOptions>;
}[] = [
  { name: "401", answers: [fails(401)], code: "model_auth", retryable: false, requests: 1 },
  { name: "403", answers: [fails(403)], code: "model_auth", retryable: false, requests: 1 },
  {
    name: "404, a model it does not have",
    answers: [fails(404)],
    code: "model_bad_request",
    retryable: false,
    requests: 1,
  },
  { name: "400", answers: [fails(400)], code: "model_bad_request", retryable: false, requests: 1 },
  { name: "503 for ever", answers: [fails(503)], code: "model_upstream", retryable: true, requests: 4 },
  { name: "500 for ever", answers: [fails(500)], code: "model_upstream", retryable: true, requests: 4 },
  {
    name: "502 in HTML",
    answers: [
      (response) => {
        response.writeHead(502, { "content-type": "text/html" });
        response.end("<html>Bad Gateway</html>");
      },
    ],
    code: "model_upstream",
    retryable: true,
    requests: 4,
  },
  {
    name: "connection reset",
    answers: [(response) => response.destroy()],
    code: "model_upstream",
    retryable: true,
    requests: 4,
  },
  {
    name: "silence before the headers",
    answers: [hangs],
    options: { timeouts: { firstByteMs: 250 } },
    code: "model_timeout",
    retryable: true,
    requests: 2,
  },
  {
    name: "silence after the headers",
    answers: [streams([], "hang")],
    options: { timeouts: { firstByteMs: 250 } },
    code: "model_timeout",
    retryable: true,
    requests: 3,
  },
  {
    name: "silence in the middle",
    answers: [streams([textPiece("Once "), textPiece("upon")], "hang")],
    options: { timeouts: { idleMs: 250 } },
    code: "model_timeout",
    retryable: true,
    requests: 3,
  },
  {
    name: "the whole time used up",
    answers: [hangs],
    options: { timeouts: { totalMs: 700, firstByteMs: 400 }, retries: { maxSilentTries: 4 } },
    code: "model_timeout",
    retryable: true,
    requests: 2,
  },
  {
    name: "a cut",
    answers: [streams([textPiece("Once ")], "cut")],
    code: "model_stream_broken",
    retryable: true,
    requests: 3,
  },
  {
    name: "a clean end without a finish",
    answers: [streams([textPiece("Once")])],
    code: "model_stream_broken",
    retryable: true,
    requests: 3,
  },
  {
    name: "the marker without a finish",
    answers: [streams([textPiece("Once"), "[DONE]"])],
    code: "model_stream_broken",
    retryable: true,
    requests: 3,
  },
  {
    name: "200 that is no stream",
    answers: [
      (response) => {
        response.writeHead(200, { "content-type": "text/html" });
        response.end("<html>please log in</html>");
      },
    ],
    code: "model_stream_broken",
    retryable: true,
    requests: 3,
  },
  {
    name: "an error frame",
    answers: [
      streams([textPiece("Once"), { error: { message: "upstream died", type: "internal_server_error", code: "500" } }]),
    ],
    code: "model_upstream",
    retryable: true,
    requests: 3,
  },
  {
    name: "an error frame that says budget",
    answers: [
      streams([
        textPiece("Once"),
        { error: { message: "Budget has been exceeded! Max budget: 1", type: "budget_exceeded", code: "400" } },
      ]),
    ],
    code: "model_budget",
    retryable: false,
    requests: 1,
  },
  {
    name: "a frame that is no JSON",
    answers: [streams([textPiece("Once"), '{"id": "x", "choi'])],
    code: "model_malformed",
    retryable: true,
    requests: 3,
  },
  {
    name: "a frame that is no object",
    answers: [streams(["42"])],
    code: "model_malformed",
    retryable: true,
    requests: 3,
  },
  {
    name: "content that is no text",
    answers: [streams([chunk({ content: { a: 1 } }), ...ending()])],
    code: "model_malformed",
    retryable: true,
    requests: 3,
  },
  {
    name: "tool calls that are no list",
    answers: [streams([chunk({ tool_calls: "x" }), ...ending()])],
    code: "model_malformed",
    retryable: true,
    requests: 3,
  },
  { name: "nothing", answers: [streams(ending())], code: "model_empty", retryable: true, requests: 3 },
  {
    name: "a finish of `tool_calls` without a call",
    answers: [streams(ending("tool_calls"))],
    code: "model_empty",
    retryable: true,
    requests: 3,
  },
  {
    name: "thoughts that use up the output",
    answers: [streams([chunk({ reasoning_content: "hm" }), ...ending("length")])],
    code: "output_truncated",
    retryable: false,
    requests: 1,
  },
  {
    name: "text cut by the limit",
    answers: [streams([textPiece("Once"), ...ending("length")])],
    code: "output_truncated",
    retryable: false,
    // It is gone on with eight times.
    requests: 9,
  },
  {
    name: "a call cut by the limit",
    answers: [streams([callPiece(0, '{"expression":"1+', { id: "a", name: "calculator" }), ...ending("length")])],
    code: "output_truncated",
    retryable: false,
    requests: 3,
  },
  {
    name: "arguments that are never JSON",
    answers: [1, 2, 3].map((n) =>
      streams([callPiece(0, `{"expression":"${n}`, { id: "a", name: "calculator" }), ...ending("tool_calls")]),
    ),
    code: "model_malformed",
    retryable: true,
    requests: 3,
  },
  {
    name: "an endless loop of one call",
    answers: [streams([callPiece(0, '{"expression":"1"}', { id: "a", name: "calculator" }), ...ending("tool_calls")])],
    code: "repeated_tool_call",
    retryable: false,
    requests: 3,
  },
  {
    name: "content held back",
    answers: [streams([textPiece("I"), ...ending("content_filter")])],
    code: "model_refused",
    retryable: false,
    requests: 1,
  },
  {
    name: "the context overflows",
    answers: [
      fails(400, {
        message: "litellm.ContextWindowExceededError: This model's maximum context length is 128000 tokens.",
        code: "context_length_exceeded",
      }),
    ],
    code: "context_overflow",
    retryable: false,
    requests: 1,
  },
  {
    name: "the content policy",
    answers: [fails(400, { message: "ContentPolicyViolationError" })],
    code: "model_refused",
    retryable: false,
    requests: 1,
  },
  {
    name: "the proxy's budget, said with 429",
    answers: [
      fails(
        429,
        { message: "Budget has been exceeded! Current cost: 1.2, Max budget: 1.0", type: "budget_exceeded" },
        { "retry-after": "1" },
      ),
    ],
    code: "model_budget",
    retryable: false,
    requests: 1,
  },
  {
    name: "the provider's quota, said with 429",
    answers: [fails(429, { code: "insufficient_quota" })],
    code: "model_budget",
    retryable: false,
    requests: 1,
  },
];

test.each(faults)("$name → $code", async ({ answers, options, code, retryable, requests }) => {
  const played = await runBehind(answers, options);
  expect(failureOf(played.outcome)).toEqual({ code, retryable });
  expect(played.requests).toHaveLength(requests);
  // Whatever a model or an endpoint does: no call acts unless its answer is whole.
  const ran = ofType(played.events, "tool_call.completed").filter((event) => !event.is_error);
  expect(ran.length).toBe(code === "repeated_tool_call" ? 2 : 0);
});

const limits: {
  name: string;
  answers: Answerer[];
  code?: string;
  retryAfterMs: number | null;
  requests: number;
  options?: Partial<OpenAiModelOptions>;
}[] = [
  { name: "429 for ever", answers: [fails(429)], retryAfterMs: null, requests: 4 },
  {
    name: "429 that asks for a long wait",
    answers: [fails(429, {}, { "retry-after": "120" })],
    retryAfterMs: 120_000,
    requests: 1,
  },
  {
    name: "429 that asks for short waits, for ever",
    answers: [fails(429, {}, { "retry-after-ms": "40" })],
    options: { retries: { limitPatienceMs: 100, maxTries: 100 } },
    retryAfterMs: 40,
    requests: 3,
  },
  {
    name: "503 that names the time of its end",
    answers: [fails(503, {}, { "retry-after": "30" })],
    code: "model_upstream",
    retryAfterMs: 30_000,
    requests: 1,
  },
  { name: "529", answers: [fails(529)], code: "model_upstream", retryAfterMs: null, requests: 4 },
  {
    name: "an error frame that says overloaded",
    answers: [streams([{ error: { message: "busy", type: "overloaded_error" } }])],
    code: "model_upstream",
    retryAfterMs: null,
    requests: 3,
  },
  {
    name: "an error frame that says rate limit, and then a refusal",
    answers: [
      streams([textPiece("Once"), { error: { message: "slow down", type: "requests", code: "rate_limit_exceeded" } }]),
      fails(429, {}, { "retry-after": "9" }),
    ],
    retryAfterMs: 9_000,
    requests: 2,
  },
];

test.each(limits)("$name → the run may wait", async ({ answers, options, code, retryAfterMs, requests }) => {
  const played = await runBehind(answers, options);
  expect(played.outcome).toMatchObject({
    kind: "waiting",
    reason: "provider_limit",
    code: code ?? "model_rate_limited",
    retryAfterMs,
  });
  expect(played.requests).toHaveLength(requests);
  // Nothing of the step is left: what was shown of it was taken back.
  const shown = new Set(ofType(played.events, "message.delta").map((event) => event.message_id));
  expect(new Set(ofType(played.events, "message.discarded").map((event) => event.message_id))).toEqual(shown);
  expect(ofType(played.events, "model.completed")).toEqual([]);
});

test("an endpoint that is not there", async () => {
  const { endpoint, model } = await behind([hangs]);
  await endpoint.close();
  const { outcome } = await play({ model, tools: [] });
  expect(failureOf(outcome)).toEqual({ code: "model_upstream", retryable: true });
});

const recovering: { name: string; fault: Answerer; options?: Partial<OpenAiModelOptions> }[] = [
  { name: "429 with Retry-After", fault: fails(429, {}, { "retry-after-ms": "20" }) },
  { name: "503", fault: fails(503) },
  { name: "529", fault: fails(529) },
  { name: "a reset", fault: (response) => response.destroy() },
  { name: "silence", fault: hangs, options: { timeouts: { firstByteMs: 250 } } },
  { name: "a cut", fault: streams([textPiece("On")], "cut") },
  { name: "an error frame", fault: streams([textPiece("On"), { error: { message: "x", code: "503" } }]) },
  { name: "nothing", fault: streams(ending()) },
];

test.each(recovering)("after $name once, the run goes on", async ({ fault, options }) => {
  const { outcome, events, requests } = await runBehind([fault, answersText("Here I am.")], options);
  expect(outcome.kind).toBe("completed");
  expect(ofType(events, "model.completed")[0]?.message.text).toBe("Here I am.");
  expect(requests).toHaveLength(2);
  const shown = new Set(ofType(events, "message.delta").map((event) => event.message_id));
  const discarded = ofType(events, "message.discarded").map((event) => event.message_id);
  // Everything that was shown is the answer or was taken back.
  const answered = ofType(events, "model.completed").map((event) => event.message.id);
  expect(new Set([...discarded, ...answered])).toEqual(shown);
});

test("the wait that an endpoint asks for is kept", async () => {
  const startedAt = performance.now();
  const { outcome } = await runBehind([fails(429, {}, { "retry-after-ms": "150" }), answersText("ok")]);
  expect(outcome.kind).toBe("completed");
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(145);
});

test("neither the key nor what an endpoint says of itself reaches the outcome", async () => {
  const leak = `Incorrect API testKey provided: ${testKey} at http://10.0.0.5:4000`;
  for (const status of [401, 500, 429]) {
    const { outcome } = await runBehind([fails(status, { message: leak })]);
    expect(JSON.stringify(outcome)).not.toMatch(/test-key|10\.0\.0\.5/);
  }
  const asked = await runBehind([fails(400, { message: `No tools here, ${testKey}, sk-another-0123456789` })]);
  expect(asked.outcome).toMatchObject({
    message: "The model endpoint refused the request. It said: 400 No tools here, [key], [key]",
  });
});
