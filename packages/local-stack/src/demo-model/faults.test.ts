import { performance } from "node:perf_hooks";
import OpenAI from "openai";
import type { ChatCompletionChunk, ChatCompletionMessageParam } from "openai/resources/chat/completions";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "@cortex/testing";
import { type DemoModel, startDemoModel } from "./demo-model.ts";

let model: DemoModel;
let client: OpenAI;

beforeAll(async () => {
  model = await startDemoModel({ port: 0 });
  client = new OpenAI({ baseURL: model.url, apiKey: "none", maxRetries: 0, logLevel: "off" });
});
afterAll(() => model.close());

interface Seen {
  chunks: ChatCompletionChunk[];
  text: string;
  finish: string | null;
  error: unknown;
}

/** Streams one answer and keeps what arrived before it failed. */
async function listen(
  content: string,
  signal?: AbortSignal,
  earlier: ChatCompletionMessageParam[] = [],
): Promise<Seen> {
  const seen: Seen = { chunks: [], text: "", finish: null, error: null };
  const messages: ChatCompletionMessageParam[] = [{ role: "user", content }, ...earlier];
  try {
    const body = { model: "demo", stream: true, messages } as const;
    for await (const chunk of await client.chat.completions.create(body, signal === undefined ? {} : { signal })) {
      seen.chunks.push(chunk);
      seen.text += chunk.choices[0]?.delta.content ?? "";
      seen.finish = chunk.choices[0]?.finish_reason ?? seen.finish;
    }
  } catch (error) {
    seen.error = error;
  }
  return seen;
}

test.each([
  ["400", 400, null],
  ["401", 401, "invalid_api_key"],
  ["403", 403, "forbidden"],
  ["429", 429, "rate_limit_exceeded"],
  ["500", 500, "500"],
  ["503", 503, "503"],
  ["529", 529, "529"],
  ["context", 400, "context_length_exceeded"],
  ["policy", 400, "content_policy_violation"],
])("[[fail=%s]] is %i", async (failure, status, code) => {
  const { error } = await listen(`hi [[fail=${failure}]]`);
  expect(error).toBeInstanceOf(OpenAI.APIError);
  expect(error).toMatchObject({ status, code });
});

test("[[fail=502]] is a page, [[fail=budget]] is terminal by type, retry-after is passed on", async () => {
  const response = await fetch(`${model.url}/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "demo", messages: [{ role: "user", content: "[[fail=502]]" }] }),
  });
  expect([response.status, response.headers.get("content-type")]).toEqual([502, "text/html; charset=utf-8"]);
  expect((await listen("[[fail=budget]]")).error).toMatchObject({ status: 429, type: "budget_exceeded" });
  const { error } = await listen("[[fail=429 retry-after=7]]");
  expect(error instanceof OpenAI.RateLimitError && error.headers.get("retry-after")).toBe("7");
});

test("a counted fault strikes so often, then the answer comes, and the count begins again", async () => {
  const retrying = new OpenAI({ baseURL: model.url, apiKey: "none", maxRetries: 2 });
  const messages: ChatCompletionMessageParam[] = [
    { role: "user", content: "[[fail=503*2 retry-after=0]] [[say=made it]]" },
  ];
  for (const round of [1, 2]) {
    const from = model.requests.length;
    const answer = await retrying.chat.completions.create({ model: "demo", messages });
    expect(answer.choices[0]?.message.content, `round ${round}`).toBe("made it");
    expect(model.requests.slice(from).map(({ status }) => status)).toEqual([503, 503, 200]);
  }
});

test("counted faults of several kinds strike one after the other", async () => {
  const prompt = "[[fail=429*1]] [[cut=2*1]] [[tokens=5]]";
  expect((await listen(prompt)).error).toMatchObject({ status: 429 });
  expect(await listen(prompt)).toMatchObject({ text: "w1 w2", finish: null, error: { message: "terminated" } });
  expect(await listen(prompt)).toMatchObject({ text: "w1 w2 w3 w4 w5", finish: "stop", error: null });
});

test("[[cut]] drops the connection after so many chunks, [[eof]] ends without a finish_reason", async () => {
  expect(await listen("[[tokens=100]] [[cut=30]]")).toMatchObject({ finish: null, error: { message: "terminated" } });
  const cut = await listen("[[tokens=100]] [[cut=30]]");
  expect(cut.text.split(" ")).toHaveLength(30);
  expect(await listen("[[tokens=9]] [[eof=3]]")).toMatchObject({ text: "w1 w2 w3", finish: null, error: null });
});

test("a fault beyond the end of a short answer still keeps the answer from ending", async () => {
  expect(await listen("[[say=one two]] [[eof=50]]")).toMatchObject({ text: "one two", finish: null });
});

test("[[garbage]] is not JSON, [[errorframe]] is an error inside the stream", async () => {
  const garbage = await listen("[[tokens=9]] [[garbage=2]]");
  expect(garbage).toMatchObject({ text: "w1 w2", finish: null });
  expect(garbage.error).toBeInstanceOf(SyntaxError);
  const frame = await listen("[[tokens=9]] [[errorframe=2]]");
  expect(frame).toMatchObject({ text: "w1 w2", error: { code: "500", status: undefined } });
});

test.each([
  ["[[stall=3]] [[tokens=9]]", 200],
  ["[[hang]]", null],
])("%s waits for the client to leave", async (prompt, status) => {
  const leave = new AbortController();
  const listening = listen(prompt, leave.signal);
  const from = model.requests.length;
  await eventually(() => model.requests.length > from);
  const request = model.requests.at(-1);
  leave.abort();
  await listening;
  await eventually(() => request?.ended === "client_left");
  expect(request?.status).toBe(status);
});

test("[[stall=3]] has sent its three chunks", async () => {
  const leave = new AbortController();
  const stalled = await client.chat.completions.create(
    { model: "demo", stream: true, messages: [{ role: "user", content: "[[stall=3]] [[tokens=9]]" }] },
    { signal: leave.signal },
  );
  let text = "";
  for await (const chunk of stalled) {
    text += chunk.choices[0]?.delta.content ?? "";
    if (text === "w1 w2 w3") leave.abort();
  }
  expect(text).toBe("w1 w2 w3");
});

test("[[empty]] says nothing and finishes", async () => {
  const empty = await listen("[[empty]]");
  expect(empty).toMatchObject({ text: "", finish: "stop", error: null });
  expect(empty.chunks).toHaveLength(2);
});

test("[[at=2]] strikes in the second answer of the turn only", async () => {
  const prompt = "[[tool=list_files {}]] [[fail=500]] [[at=2]]";
  expect(await listen(prompt)).toMatchObject({ finish: "tool_calls", error: null });
  const earlier: ChatCompletionMessageParam[] = [
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: "a", type: "function", function: { name: "list_files", arguments: "{}" } }],
    },
    { role: "tool", tool_call_id: "a", content: "none" },
  ];
  expect((await listen(prompt, undefined, earlier)).error).toMatchObject({ status: 500 });
});

test("[[delay]] keeps its rate: a late timer does not push the rest back", async () => {
  const started = performance.now();
  const { text } = await listen("[[tokens=51]] [[delay=4]]");
  const took = performance.now() - started;
  expect(text.split(" ")).toHaveLength(51);
  expect(took).toBeGreaterThanOrEqual(50 * 4 - 1); // never early; lateness is the machine's, so there is no upper bound here
});

test("without a stream the same faults are errors too", async () => {
  const ask = (content: string) =>
    client.chat.completions.create({ model: "demo", messages: [{ role: "user", content }] });
  await expect(ask("[[cut=1]]")).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
  await expect(ask("[[errorframe]]")).rejects.toMatchObject({ status: 500 });
  await expect(ask("[[garbage]]")).rejects.toBeInstanceOf(SyntaxError);
});
