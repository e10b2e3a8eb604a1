import { expect, test } from "vitest";
import { userMessage } from "../messages.ts";
import { behind, runBehind, testKey } from "../testing/behind-endpoint.ts";
import { anInput, ofType, play } from "../testing/run.ts";
import { answersText, callPiece, chunk, ending, streams, textPiece, usageChunk } from "../testing/scripted-endpoint.ts";
import { tool as calculator } from "../tools/calculator.ts";

test("text, reasoning and usage arrive as they are sent", async () => {
  const frames = [
    chunk({ role: "assistant", content: "" }),
    chunk({ reasoning_content: "Let me " }),
    chunk({ reasoning: "think." }),
    textPiece("Hello "),
    textPiece("you"),
    chunk({}, "stop"),
    usageChunk({
      prompt_tokens: 100,
      completion_tokens: 20,
      prompt_tokens_details: { cached_tokens: 60 },
      completion_tokens_details: { reasoning_tokens: 5 },
      cache_creation_input_tokens: 10,
    }),
    "[DONE]",
  ];
  const { events, outcome, requests } = await runBehind([streams(frames)]);
  expect(outcome.kind).toBe("completed");
  expect(ofType(events, "reasoning.delta").map((event) => event.text)).toEqual(["Let me ", "think."]);
  expect(ofType(events, "message.delta").map((event) => event.text)).toEqual(["Hello ", "you"]);
  expect(ofType(events, "model.completed")[0]).toMatchObject({
    reasoning: "Let me think.",
    usage: {
      input_tokens: 100,
      cached_input_tokens: 60,
      cache_write_tokens: 10,
      output_tokens: 20,
      reasoning_tokens: 5,
      estimated: false,
    },
    // demo: (100 × 1 + 20 × 4) USD per million
    cost_usd: "0.00018",
  });
  expect(requests).toHaveLength(1);
});

test("the request carries prompt, tools, parameters and the ids that trace it", async () => {
  const { endpoint, model } = await behind([answersText("ok")], { headers: { "x-litellm-tags": "cortex" } });
  const messages = [
    userMessage("one"),
    {
      role: "user" as const,
      content: [
        { type: "text" as const, text: "look" },
        { type: "image" as const, url: "data:image/png;base64,AA==" },
        { type: "file" as const, name: "a.csv", path: "/workspace/a.csv", size: 12 },
      ],
    },
    {
      role: "assistant" as const,
      content: [],
      tool_calls: [{ id: "c1", name: "calculator", arguments: '{"expr' }],
      status: "complete" as const,
    },
    { role: "tool" as const, content: [{ type: "text" as const, text: "bad" }], tool_call_id: "c1" },
  ];
  const parameters = { temperature: 0.5, maxOutputTokens: 99, reasoningEffort: "low" as const };
  await play(
    { model, tools: [calculator] },
    anInput({ model: "gpt-4o", messages, parameters, headers: { "x-extra": "1" } }),
  );
  const [request] = endpoint.requests;
  expect(request?.headers).toMatchObject({
    authorization: `Bearer ${testKey}`,
    "x-request-id": "req-1",
    "x-cortex-run-id": anInput().runId,
    "x-litellm-tags": "cortex",
    "x-extra": "1",
  });
  expect(request?.body).toEqual({
    model: "gpt-4o",
    messages: [
      { role: "system", content: "You are a test." },
      { role: "user", content: "one" },
      {
        role: "user",
        content: [
          { type: "text", text: "look" },
          { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
          { type: "text", text: '[File "a.csv" at /workspace/a.csv, 12 bytes]' },
        ],
      },
      {
        role: "assistant",
        content: null,
        tool_calls: [
          { id: "c1", type: "function", function: { name: "calculator", arguments: '{"unreadable":"{\\"expr"}' } },
        ],
      },
      { role: "tool", tool_call_id: "c1", content: "bad" },
    ],
    tools: [
      {
        type: "function",
        function: { name: "calculator", description: calculator.description, parameters: calculator.parameters },
      },
    ],
    stream: true,
    stream_options: { include_usage: true },
    temperature: 0.5,
    max_tokens: 99,
    reasoning_effort: "low",
  });
});

test("parallel calls that arrive interleaved are told apart", async () => {
  const frames = [
    callPiece(0, "", { id: "a", name: "calculator" }),
    callPiece(1, "", { id: "b", name: "calculator" }),
    callPiece(0, '{"expression"'),
    callPiece(1, '{"expression":"2*'),
    callPiece(0, ':"1+1"}'),
    callPiece(1, '2*2"}'),
    ...ending("tool_calls"),
  ];
  const { events, outcome } = await runBehind([streams(frames), answersText("2 and 8")]);
  expect(outcome.kind).toBe("completed");
  const results = ofType(events, "tool_call.completed").map((event) => [event.tool_call_id, event.result]);
  expect(Object.fromEntries(results)).toEqual({ a: "2", b: "8" });
});

test("calls under one index, without ids, with one id, or with a finish of `stop` are understood", async () => {
  const one = '{"expression":"1"}';
  const two = '{"expression":"2"}';
  const shapes: unknown[][] = [
    [
      callPiece(0, one, { id: "a", name: "calculator" }),
      callPiece(0, two, { id: "b", name: "calculator" }),
      ...ending("stop"),
    ],
    [
      callPiece(0, one, { id: null, name: "calculator" }),
      callPiece(1, two, { id: null, name: "calculator" }),
      ...ending("tool_calls"),
    ],
    [
      callPiece(0, one, { id: "x", name: "calculator" }),
      callPiece(1, two, { id: "x", name: "calculator" }),
      ...ending("tool_calls"),
    ],
    [
      callPiece(0, '{"expression":', { id: "a", name: "calculator" }),
      callPiece(0, '"1"}', { id: "a", name: "calculator" }),
      callPiece(1, two, { id: "b", name: "calculator" }),
      ...ending("tool_calls"),
    ],
  ];
  for (const frames of shapes) {
    const { events } = await runBehind([streams(frames), answersText("ok")]);
    const results = ofType(events, "tool_call.completed");
    expect(new Set(results.map((event) => event.result))).toEqual(new Set(["1", "2"]));
    expect(new Set(results.map((event) => event.tool_call_id)).size).toBe(2);
  }
});

test("usage is estimated where there is none that could be true; parts of it are never more than the whole", async () => {
  const odd: Record<string, unknown>[] = [
    { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
    { prompt_tokens: -5, completion_tokens: 1.5 },
    { prompt_tokens: 12, completion_tokens: "7" },
    { prompt_tokens: 12, completion_tokens: -7 },
    { prompt_tokens: 1e15, completion_tokens: 7 },
    {},
  ];
  const endings = [[], ...odd.map((usage) => [usageChunk(usage)])];
  for (const frames of endings) {
    const { events } = await runBehind([streams([textPiece("12345678"), chunk({}, "stop"), ...frames, "[DONE]"])]);
    expect(ofType(events, "model.completed")[0]?.usage).toMatchObject({ estimated: true, output_tokens: 2 });
  }
  const parts = usageChunk({
    prompt_tokens: 10,
    completion_tokens: 4,
    prompt_tokens_details: { cached_tokens: 1_000 },
    cache_creation_input_tokens: 5,
    completion_tokens_details: { reasoning_tokens: 1_000 },
  });
  const { events } = await runBehind([streams([textPiece("x"), chunk({}, "stop"), parts, "[DONE]"])]);
  expect(ofType(events, "model.completed")[0]?.usage).toEqual({
    input_tokens: 10,
    cached_input_tokens: 10,
    cache_write_tokens: 0,
    output_tokens: 4,
    reasoning_tokens: 4,
    estimated: false,
  });
});
