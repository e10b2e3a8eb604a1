import type { ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";
import { eventually } from "@cortex/testing";
import { expect, test } from "vitest";
import { runBehind } from "../testing/behind-endpoint.ts";
import { ofType } from "../testing/run.ts";
import {
  type Answerer,
  answersText,
  callPiece,
  chunk,
  cutAfter,
  ending,
  fails,
  frame,
  streams,
  textPiece,
  usageChunk,
} from "../testing/scripted-endpoint.ts";
import type { OpenAiModelOptions } from "./openai.ts";

/*
 * What endpoints do that no specification allows, through the real package: what is read as an answer, and what is not. The faults that
 * end a run are in `openai-faults.test.ts`.
 */

const eventStream = (response: ServerResponse, headers: Record<string, string> = {}): void => {
  response.writeHead(200, { "content-type": "text/event-stream", ...headers });
  response.flushHeaders();
};

/** These bytes as one body. */
const sends =
  (body: Uint8Array | string, headers: Record<string, string> = {}): Answerer =>
  (response) => {
    eventStream(response, headers);
    response.end(body);
  };

/** These pieces, each in a packet of its own. */
const inPieces =
  (...pieces: (Buffer | string)[]): Answerer =>
  async (response) => {
    eventStream(response);
    for (const piece of pieces) {
      const { promise, resolve } = Promise.withResolvers<void>();
      response.write(piece, () => resolve());
      await promise;
    }
    response.end();
  };

/** One frame after the other, a few every second, for as long as the client is there. */
const drips =
  (one: string): Answerer =>
  async (response) => {
    eventStream(response);
    const drip = () => response.closed || !response.write(one);
    await eventually(drip, { timeoutMs: 20_000 });
  };

const framesOf = (...frames: unknown[]): string => frames.map(frame).join("");
const hello = framesOf(textPiece("Héllo "), textPiece("wörld"), ...ending());
const long = "x".repeat(1_000_000);

const understood: { name: string; answer: Answerer; text: string }[] = [
  { name: "a compressed stream", answer: sends(gzipSync(hello), { "content-encoding": "gzip" }), text: "Héllo wörld" },
  { name: "lines that end in CRLF", answer: sends(hello.replaceAll("\n", "\r\n")), text: "Héllo wörld" },
  { name: "no space after the colon", answer: sends(hello.replaceAll("data: ", "data:")), text: "Héllo wörld" },
  {
    name: "comments, ids and names between the frames",
    answer: sends(hello.replaceAll("data: ", ": PROCESSING\n\nid: 7\nretry: 10\ndata: ")),
    text: "Héllo wörld",
  },
  {
    name: "characters torn apart between packets",
    answer: inPieces(...[...Buffer.from(hello)].map((byte) => Buffer.from([byte]))),
    text: "Héllo wörld",
  },
  { name: "a million characters in one frame", answer: streams([textPiece(long), ...ending()]), text: long },
  {
    name: "bytes that are no UTF-8",
    answer: sends(Buffer.from(framesOf(textPiece("a@b"), ...ending())).map((byte) => (byte === 64 ? 0xff : byte))),
    text: "a\u{FFFD}b",
  },
  {
    name: "chunks without a choice, with none, with an empty delta",
    answer: streams([
      { id: "x", object: "chat.completion.chunk" },
      { ...chunk({}), choices: [] },
      { ...chunk({}), choices: null },
      { ...chunk({}), choices: [{ index: 0, delta: null, finish_reason: null }] },
      { ...chunk({}), choices: [{ index: 0, finish_reason: "" }] },
      textPiece("Hello"),
      ...ending(),
    ]),
    text: "Hello",
  },
  {
    name: "a finish with each chunk",
    answer: streams([chunk({ content: "Hel" }, "stop"), chunk({ content: "lo" }, "stop"), ...ending()]),
    text: "Hello",
  },
  {
    name: "text after the finish",
    answer: streams([textPiece("Hel"), chunk({}, "stop"), textPiece("lo"), "[DONE]"]),
    text: "Hello",
  },
  { name: "no marker at the end", answer: streams([textPiece("Hello"), chunk({}, "stop")]), text: "Hello" },
  {
    name: "frames after the marker",
    answer: streams([textPiece("Hello"), ...ending(), textPiece(" there")]),
    text: "Hello",
  },
  { name: "a finish of another name", answer: streams([textPiece("Hello"), ...ending("eos")]), text: "Hello" },
  {
    name: "a refusal instead of content",
    answer: streams([chunk({ refusal: "I will not." }), ...ending()]),
    text: "I will not.",
  },
];

test.each(understood)("$name: understood", async ({ answer, text }) => {
  const { outcome, events, requests } = await runBehind([answer]);
  expect(outcome.kind).toBe("completed");
  expect(ofType(events, "model.completed")[0]?.message.text).toBe(text);
  expect(requests).toHaveLength(1);
});

test("of several counts the last one is charged, once", async () => {
  const counts = [1, 5, 9].map((n) => usageChunk({ prompt_tokens: 10 * n, completion_tokens: n }));
  const { events, outcome } = await runBehind([streams([textPiece("Hi"), ...counts, chunk({}, "stop"), "[DONE]"])]);
  expect(ofType(events, "model.completed")[0]?.usage).toMatchObject({ input_tokens: 90, output_tokens: 9 });
  expect(outcome.usage).toMatchObject({ input_tokens: 90, output_tokens: 9 });
});

const broken: {
  name: string;
  answer: Answerer;
  code: string;
  requests: number;
  options?: Partial<OpenAiModelOptions>;
}[] = [
  {
    name: "a compressed stream that is cut",
    answer: async (response) => {
      const body = gzipSync(hello);
      eventStream(response, { "content-encoding": "gzip", "content-length": String(body.length) });
      const { promise, resolve } = Promise.withResolvers<void>();
      response.write(body.subarray(0, body.length / 2), () => resolve());
      await promise;
      response.socket?.destroy();
    },
    code: "model_stream_broken",
    requests: 3,
  },
  {
    name: "what says it is compressed and is not",
    answer: sends(hello, { "content-encoding": "gzip" }),
    code: "model_stream_broken",
    requests: 3,
  },
  { name: "an empty body", answer: sends(""), code: "model_stream_broken", requests: 3 },
  {
    name: "less than its length says",
    answer: async (response) => {
      eventStream(response, { "content-length": "100000" });
      await cutAfter(response, framesOf(textPiece("Hello")));
    },
    code: "model_stream_broken",
    requests: 3,
  },
  {
    name: "text after the finish, and then a cut",
    answer: streams([textPiece("Hel"), chunk({}, "stop"), textPiece("lo")], "cut"),
    code: "model_stream_broken",
    requests: 3,
  },
  {
    name: "a redirect",
    answer: (response) => response.writeHead(307, { location: "http://127.0.0.1:9/v1/chat/completions" }).end(),
    code: "model_bad_request",
    requests: 1,
  },
  {
    name: "comments for ever",
    answer: drips(": PROCESSING\n\n"),
    options: { timeouts: { firstByteMs: 250 } },
    code: "model_timeout",
    requests: 3,
  },
  {
    name: "a drip that never ends",
    answer: drips(frame(textPiece("drip "))),
    options: { timeouts: { firstByteMs: 300, totalMs: 600 } },
    code: "model_timeout",
    requests: 1,
  },
  {
    name: "an answer longer than any model writes",
    answer: streams([textPiece("Once"), textPiece("x".repeat(4_000_001)), ...ending()]),
    code: "model_malformed",
    requests: 3,
  },
  {
    name: "a whole completion where a stream was asked for",
    answer: sends(JSON.stringify({ choices: [{ message: { content: "Hi" }, finish_reason: "stop" }] }), {
      "content-type": "application/json",
    }),
    code: "model_stream_broken",
    requests: 3,
  },
  {
    name: "a piece of a call that is nothing",
    answer: streams([chunk({ tool_calls: [null] }), ...ending()]),
    code: "model_malformed",
    requests: 3,
  },
  {
    name: "arguments that are an object",
    answer: streams([
      chunk({ tool_calls: [{ index: 0, id: "a", function: { name: "calculator", arguments: {} } }] }),
      ...ending(),
    ]),
    code: "model_malformed",
    requests: 3,
  },
  {
    name: "a key that LiteLLM refuses with 400",
    answer: fails(400, { message: "Authentication Error, Invalid proxy server token passed", type: "auth_error" }),
    code: "model_auth",
    requests: 1,
  },
  {
    name: "a team over its budget",
    answer: fails(400, { message: "ExceededBudget: Team=a over budget. Spend: 2, Budget: 1" }),
    code: "model_budget",
    requests: 1,
  },
  {
    name: "a prompt that Anthropic finds too long",
    answer: fails(400, { message: "input length and `max_tokens` exceed context limit: 199000 + 8000 > 200000" }),
    code: "context_overflow",
    requests: 1,
  },
  {
    name: "a prompt that Gemini finds too long",
    answer: fails(400, { message: "The input token count (1200000) exceeds the maximum number of tokens allowed" }),
    code: "context_overflow",
    requests: 1,
  },
  {
    name: "a policy of Azure",
    answer: fails(400, {
      message: "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    }),
    code: "model_refused",
    requests: 1,
  },
];

test.each(broken)("$name → $code", async ({ answer, code, requests: expected, options }) => {
  const { outcome, events, requests } = await runBehind([answer], options);
  expect(outcome).toMatchObject({ kind: "failed", code });
  expect(requests).toHaveLength(expected);
  expect(ofType(events, "model.completed")).toEqual([]);
  // Each answer that was shown is taken back, but the last, which the run keeps as interrupted.
  const shown = [...new Set(ofType(events, "message.delta").map((event) => event.message_id))];
  const discarded = ofType(events, "message.discarded").map((event) => event.message_id);
  expect(discarded).toEqual(expect.arrayContaining(shown.slice(0, -1)));
  expect(outcome.kind === "failed" && outcome.interrupted?.id).toBe(shown.at(-1));
});

const one = '{"expression":"1"}';
const two = '{"expression":"2"}';
const call = (piece: Record<string, unknown>) => chunk({ tool_calls: [piece] });
const named = (args: string) => ({ type: "function", function: { name: "calculator", arguments: args } });

const oddCalls: { name: string; frames: unknown[]; results: string[] }[] = [
  {
    name: "indexes from nowhere",
    frames: [
      callPiece(70_000, one, { id: "a", name: "calculator" }),
      callPiece(-3, two, { id: "b", name: "calculator" }),
    ],
    results: ["1", "2"],
  },
  {
    name: "indexes that are no numbers",
    frames: [
      chunk({
        tool_calls: [
          { ...named(one), index: "0", id: "a" },
          { ...named(two), index: null, id: "b" },
        ],
      }),
    ],
    results: ["1", "2"],
  },
  {
    name: "the same id twice",
    frames: [callPiece(0, one, { id: "a", name: "calculator" }), callPiece(1, two, { id: "a", name: "calculator" })],
    results: ["1", "2"],
  },
  {
    name: "ids that are no text, or far too long",
    frames: [call({ ...named(one), index: 0, id: 7 }), call({ ...named(two), index: 1, id: "i".repeat(9_999) })],
    results: ["1", "2"],
  },
  {
    name: "the name again with each piece",
    frames: [
      callPiece(0, '{"expression"', { id: "a", name: "calculator" }),
      callPiece(0, ':"1"}', { id: "a", name: "calculator" }),
    ],
    results: ["1"],
  },
  {
    name: "a call after the finish",
    frames: [textPiece("Wait"), chunk({}, "stop"), callPiece(0, one, { id: "a", name: "calculator" })],
    results: ["1"],
  },
];

test.each(oddCalls)("calls with $name run, each once", async ({ frames, results }) => {
  const { outcome, events, requests } = await runBehind([
    streams([...frames, ...ending("tool_calls")]),
    answersText("ok"),
  ]);
  expect(outcome.kind).toBe("completed");
  expect(ofType(events, "tool_call.completed").map((event) => event.result)).toEqual(results);
  expect(new Set(ofType(events, "tool_call.completed").map((event) => event.tool_call_id)).size).toBe(results.length);
  expect(requests).toHaveLength(2);
});

test("a call without a name, or with one that no endpoint takes, is answered and does not spoil the conversation", async () => {
  const names = ["", "rm -rf /; \u{1F600}".repeat(20)];
  for (const name of names) {
    const { outcome, events, requests } = await runBehind([
      streams([callPiece(0, "{}", { id: "a", name }), ...ending("tool_calls")]),
      answersText("Sorry."),
    ]);
    expect(outcome.kind).toBe("completed");
    expect(ofType(events, "tool_call.completed")).toMatchObject([{ is_error: true }]);
    const sent = JSON.stringify(requests[1]?.body["messages"]);
    expect(sent).toMatch(/"function":\{"name":"[\w-]{1,64}"/);
  }
});

test("an answer that was cut stays cut, whatever finish follows", async () => {
  const cut = [callPiece(0, one, { id: "a", name: "calculator" }), chunk({}, "length"), chunk({}, "stop"), "[DONE]"];
  const { events } = await runBehind([streams(cut), answersText("ok")]);
  expect(ofType(events, "tool_call.completed")).toMatchObject([{ is_error: true }]);
});
