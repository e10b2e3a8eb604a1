import { readFile } from "node:fs/promises";
import OpenAI from "openai";
import type { ChatCompletionChunk } from "openai/resources/chat/completions";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DemoModel, startDemoModel } from "./demo-model.ts";
import { findDirectives } from "./directive-syntax.ts";
import { DIRECTIVES } from "./directives.ts";
import { parseDirectives } from "./parse-directives.ts";
import { type PlayedTool, playTurn } from "./testing/play-turn.ts";

let model: DemoModel;
let client: OpenAI;

beforeAll(async () => {
  model = await startDemoModel({ port: 0 });
  client = new OpenAI({ baseURL: model.url, apiKey: "none", maxRetries: 0 });
});
afterAll(() => model.close());

async function deltas(content: string): Promise<ChatCompletionChunk.Choice.Delta[]> {
  const answer = await client.chat.completions.create({
    model: "demo",
    stream: true,
    messages: [{ role: "user", content }],
  });
  const all: ChatCompletionChunk.Choice.Delta[] = [];
  for await (const { choices } of answer) if (choices[0] !== undefined) all.push(choices[0].delta);
  return all;
}

const echo = (name: string): PlayedTool => ({
  name,
  properties: { text: { type: "string" } },
  run: ({ text = "" }) => `echo ${text}`,
});

test("tools in order, one per answer, then what they gave back", async () => {
  const turn = await playTurn(client, '[[tool=a {"text":"[[1]]"}]] and [[tool=b]]', [echo("a"), echo("b")]);
  expect(turn.calls).toEqual([
    { name: "a", arguments: '{"text":"[[1]]"}' },
    { name: "b", arguments: "{}" },
  ]);
  expect(turn.requests).toBe(3);
  expect(turn.answer).toContain("echo [[1]]");
});

test("[[parallel]] puts them into one answer, their pieces interleaved", async () => {
  const prompt = '[[parallel]] [[tool=a {"text":"one two three four"}]] [[tool=b {"text":"five six seven eight"}]]';
  const pieces = (await deltas(prompt)).flatMap(({ tool_calls = [] }) => tool_calls);
  expect(pieces.map(({ index }) => index)).toEqual([0, 1, 0, 1, 0, 1, 0, 1]);
  const turn = await playTurn(client, prompt, [echo("a"), echo("b")]);
  expect(turn).toMatchObject({ requests: 2, calls: [{ name: "a" }, { name: "b" }] });
});

test("call ids are unique, unless [[sameid]] wants them equal", async () => {
  const ids = async (prompt: string) =>
    (await deltas(prompt)).flatMap(({ tool_calls = [] }) => tool_calls.flatMap(({ id }) => id ?? []));
  const calls = "[[parallel]] [[tool=a]] [[tool=a]]";
  expect(new Set(await ids(calls)).size).toBe(2);
  expect(new Set(await ids(`${calls} [[sameid]]`)).size).toBe(1);
});

test("[[badargs]] breaks off inside its JSON, and [[loop]] never ends", async () => {
  const bad = (await deltas("[[badargs=a]]")).flatMap(({ tool_calls = [] }) => tool_calls);
  const args = bad.map((piece) => piece.function?.arguments ?? "").join("");
  expect((): unknown => JSON.parse(args)).toThrow(SyntaxError);
  const said: string[] = [];
  const listener = { ...echo("a"), run: ({ text = "" }) => String(said.push(text)) };
  await expect(playTurn(client, '[[loop=a {"text":"again $n"}]]', [listener])).rejects.toThrow(
    "No end after 8 answers",
  );
  expect(said.slice(0, 3)).toEqual(["again 1", "again 2", "again 3"]);
});

test("[[say]], [[chunk]], [[finish]] and [[reasoning]]", async () => {
  expect(await deltas("[[say=añ👍b]] [[chunk=2]] [[finish=content_filter]]")).toEqual([
    { role: "assistant", content: "" },
    { content: "añ" },
    { content: "👍b" },
    {},
  ]);
  expect(await deltas("[[tokens=2]] [[chunk=6]] [[reasoning=1]]")).toEqual([
    { role: "assistant", content: "" },
    { reasoning_content: "w1" },
    { content: "w1...." },
    { content: " w2..." },
    {},
  ]);
});

test("a directive that changes only the sending leaves the scene as it is", async () => {
  const calculator = { ...echo("calculator"), run: () => "15" };
  const turn = await playTurn(client, "[[batch=1]] What is 5 + 10? [[delay=1]]", [calculator]);
  expect(turn.answer).toContain("The answer is 15.");
});

test.each([
  "[[fial=429]]",
  "[[fail=418]]",
  "[[fail]]",
  "[[fail=429*x]]",
  "[[fail=429 soon]]",
  "[[tokens=many]]",
  "[[tokens=0]]",
  "[[tokens=9999999]]",
  "[[delay=-1]]",
  "[[say]]",
  "[[parallel=yes]]",
  "[[hang=3]]",
  "[[cut=1 2]]",
  "[[tool=a {broken}]]",
  "[[tool]]",
  "[[finish=soon]]",
  "[[delay=5",
])("%s is refused, not ignored", async (prompt) => {
  await expect(deltas(prompt)).rejects.toMatchObject({ status: 400, code: "invalid_directive" });
});

test("brackets that are no directive stay text", () => {
  const prompt = "if [[ -f x ]]; then see [[Some page]] and [[a page]] and a[[1]]";
  expect(findDirectives(prompt)).toEqual({ found: [], rest: prompt });
});

test("every directive of the table is understood as its own example, and described for users", async () => {
  const page = await readFile(new URL("../../../../docs/demo-model.md", import.meta.url), "utf8");
  for (const { usage, meaning } of Object.values(DIRECTIVES)) {
    expect(parseDirectives(`x [[${usage}]] y`).rest).toBe("x  y");
    expect(page).toContain(`| \`[[${usage}]]\` | ${meaning} |`);
  }
});
