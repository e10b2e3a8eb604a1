import { request as httpRequest } from "node:http";
import OpenAI from "openai";
import type { ChatCompletionChunk } from "openai/resources/chat/completions";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "@cortex/testing";
import { demoText } from "./chunks.ts";
import { type DemoModel, startDemoModel } from "./demo-model.ts";

let model: DemoModel;
let client: OpenAI;

beforeAll(async () => {
  model = await startDemoModel({ port: 0 });
  client = new OpenAI({ baseURL: model.url, apiKey: "none", maxRetries: 0 });
});
afterAll(() => model.close());

async function stream(content: string, options: { include_usage?: boolean } = {}): Promise<ChatCompletionChunk[]> {
  const chunks: ChatCompletionChunk[] = [];
  const answer = await client.chat.completions.create({
    model: "demo",
    messages: [{ role: "user", content }],
    stream: true,
    ...(options.include_usage === true ? { stream_options: { include_usage: true } } : {}),
  });
  for await (const chunk of answer) chunks.push(chunk);
  return chunks;
}

const anId: unknown = expect.stringMatching(/^chatcmpl-[0-9a-f]{24}$/);

const textOf = (chunks: readonly ChatCompletionChunk[]): string =>
  chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

test("a stream: role first, then text, one finish_reason, usage last, one id throughout", async () => {
  const chunks = await stream("[[say=Good morning to you]]", { include_usage: true });
  expect(chunks.map(({ choices: [choice] }) => choice?.delta ?? null)).toEqual([
    { role: "assistant", content: "" },
    { content: "Good" },
    { content: " morning" },
    { content: " to" },
    { content: " you" },
    {},
    null,
  ]);
  expect(chunks.map(({ choices: [choice] }) => choice?.finish_reason ?? null)).toEqual([
    ...Array.from({ length: 5 }, () => null),
    "stop",
    null,
  ]);
  expect(chunks.map(({ usage }) => usage ?? null)).toEqual([
    ...Array.from({ length: 6 }, () => null),
    expect.objectContaining({ prompt_tokens: 11, completion_tokens: 4, total_tokens: 15 }),
  ]);
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  expect(chunks[0]).toMatchObject({
    object: "chat.completion.chunk",
    model: "demo",
    id: anId,
  });
});

test("usage only if asked for, and not with [[nousage]]", async () => {
  expect((await stream("hi")).some(({ usage }) => usage !== undefined)).toBe(false);
  const refused = await stream("hi [[nousage]]", { include_usage: true });
  expect(refused.some(({ usage }) => usage !== undefined)).toBe(false);
  const cached = await stream("hi [[cached=3]] [[reasoning=2]]", { include_usage: true });
  expect(cached.at(-1)?.usage).toMatchObject({
    prompt_tokens_details: { cached_tokens: 3 },
    completion_tokens_details: { reasoning_tokens: 2 },
  });
});

test("the same answer without a stream has the same text and counts the same tokens", async () => {
  const content = "[[tokens=20]] [[reasoning=3]]";
  const whole = await client.chat.completions.create({ model: "demo", messages: [{ role: "user", content }] });
  const chunks = await stream(content, { include_usage: true });
  expect(whole.choices[0]).toMatchObject({
    finish_reason: "stop",
    message: { role: "assistant", content: demoText(20) },
  });
  expect(textOf(chunks)).toBe(demoText(20));
  expect(whole.usage).toEqual(chunks.at(-1)?.usage);
});

test("10,000 chunks arrive complete, also under a reader that pauses", async () => {
  const chunks = await stream("[[tokens=10000]]");
  expect(chunks.filter(({ choices: [choice] }) => choice?.delta.content)).toHaveLength(10_000);
  expect(textOf(chunks)).toBe(demoText(10_000));
});

test("a reader that does not read does not grow the server, and is let go", async () => {
  const before = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed;
  const body = JSON.stringify({
    model: "demo",
    stream: true,
    messages: [{ role: "user", content: "[[tokens=100000]] [[chunk=1000]]" }],
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const pending = httpRequest(`${model.url}/chat/completions`, { method: "POST", agent: false }, (response) => {
    response.pause();
    resolve();
  });
  pending.once("error", reject);
  pending.end(body);
  await promise;
  const seen = model.requests.at(-1);
  await stream("[[tokens=2000]] [[batch=1]]"); // the server had time to fill every buffer
  const grown = process.memoryUsage().arrayBuffers + process.memoryUsage().heapUsed - before;
  expect(grown).toBeLessThan(50 * 1024 * 1024); // the answer has more than 100 MB
  pending.destroy();
  await eventually(() => seen?.ended === "client_left");
});

test("max_tokens cuts the answer and says so", async () => {
  const messages = [{ role: "user" as const, content: "[[tokens=50]]" }];
  const whole = await client.chat.completions.create({ model: "demo", messages, max_tokens: 7 });
  expect(whole.choices[0]).toMatchObject({ finish_reason: "length", message: { content: demoText(7) } });
  const streamed = client.chat.completions.stream({ model: "demo", messages, max_completion_tokens: 7 });
  expect((await streamed.finalChatCompletion()).choices[0]).toMatchObject({ finish_reason: "length" });
});

test("models and health", async () => {
  const ids = [];
  for await (const { id } of client.models.list()) ids.push(id);
  expect(ids).toEqual(["demo", "demo-xml"]);
  expect(await client.models.retrieve("demo")).toMatchObject({ id: "demo", object: "model" });
  const health = await fetch(new URL("/health", model.url));
  expect([health.status, await health.json()]).toEqual([200, { status: "ok" }]);
  const unknown = await fetch(`${model.url}/embeddings`, { method: "POST" });
  expect([unknown.status, await unknown.json()]).toMatchObject([404, { error: { code: "unknown_url" } }]);
  expect((await fetch(`${model.url}/chat/completions`)).status).toBe(405);
});

test("a configured key is required", async () => {
  const guarded = await startDemoModel({ port: 0, apiKey: "right" });
  try {
    const ask = (apiKey: string) =>
      new OpenAI({ baseURL: guarded.url, apiKey, maxRetries: 0 }).chat.completions.create({
        model: "demo",
        messages: [{ role: "user", content: "hi" }],
      });
    await expect(ask("wrong")).rejects.toMatchObject({ status: 401, code: "invalid_api_key" });
    expect((await fetch(`${guarded.url}/models`)).status).toBe(401);
    expect((await ask("right")).choices).toHaveLength(1);
    expect(JSON.stringify(guarded.requests)).not.toContain("right");
  } finally {
    await guarded.close();
  }
});

test("requests are recorded with their ids, and the record is bounded", async () => {
  const logged: unknown[] = [];
  const own = await startDemoModel({ port: 0, log: (entry) => logged.push(entry) });
  try {
    const speaker = new OpenAI({ baseURL: own.url, apiKey: "none", maxRetries: 0 });
    const messages = [{ role: "user" as const, content: "[[say=x]]" }];
    const asked = speaker.chat.completions.create(
      { model: "demo", messages },
      { headers: { "x-request-id": "run-7" } },
    );
    const { response } = await asked.withResponse();
    expect(response.headers.get("x-request-id")).toBe("run-7");
    await eventually(() => logged.length > 0);
    expect(logged).toMatchObject([{ request_id: "run-7", status: 200, chunks: 1, ended: "answered" }]);
    expect(own.requests).toMatchObject([
      { method: "POST", path: "/v1/chat/completions", body: { model: "demo", messages } },
    ]);
    for (let index = 0; index < 510; index += 1) await fetch(`${own.url}/models`).then((answer) => answer.text());
    expect(own.requests).toHaveLength(500);
  } finally {
    await own.close();
  }
});

test("closing drops open answers and frees the port", async () => {
  const own = await startDemoModel({ port: 0 });
  const hanging = fetch(`${own.url}/chat/completions`, {
    method: "POST",
    body: JSON.stringify({ model: "demo", messages: [{ role: "user", content: "[[hang]]" }] }),
  });
  const outcome = hanging.then(
    () => "answered",
    (error: unknown) => String(error),
  );
  await eventually(() => own.requests.length === 1);
  await own.close();
  expect(await outcome).toBe("TypeError: fetch failed");
  const again = await startDemoModel({ port: own.port });
  await expect(startDemoModel({ port: own.port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  await again.close();
  await again.close();
});

test("asked to go on with an answer that was cut, it says the rest", async () => {
  const note = "[Your answer was cut by the output limit. Go on.]";
  let said = "";
  const finishes: string[] = [];
  for (let part = 0; part < 3; part += 1) {
    const asked = { role: "user" as const, content: "[[tokens=250]]" };
    const before =
      said === ""
        ? []
        : [
            { role: "assistant" as const, content: said },
            { role: "user" as const, content: note },
          ];
    const answer = await client.chat.completions.create({
      model: "demo",
      stream: true,
      max_tokens: 100,
      messages: [asked, ...before],
    });
    for await (const { choices } of answer) {
      said += choices[0]?.delta.content ?? "";
      if (choices[0]?.finish_reason) finishes.push(choices[0].finish_reason);
    }
  }
  expect(finishes).toEqual(["length", "length", "stop"]);
  expect(said).toBe(demoText(250));
});
