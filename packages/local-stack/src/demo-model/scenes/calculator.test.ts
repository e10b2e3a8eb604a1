import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type DemoModel, startDemoModel } from "../demo-model.ts";
import { type PlayedTool, playTurn } from "../testing/play-turn.ts";

let model: DemoModel;
let client: OpenAI;

beforeAll(async () => {
  model = await startDemoModel({ port: 0 });
  client = new OpenAI({ baseURL: model.url, apiKey: "none", maxRetries: 0 });
});
afterAll(() => model.close());

/** A calculator for one operation, enough to play the scene; `wrong` is added to each result. */
function calculator(format: (result: number) => string = String, wrong = 0): PlayedTool {
  return {
    name: "calculator",
    properties: { expression: { type: "string" } },
    run: ({ expression = "" }) => {
      const [, left, operator, right] = /^\(?(-?[\d.]+)\)? ([-+*/^%]) \(?(-?[\d.]+)\)?$/.exec(expression) ?? [];
      const [a, b] = [Number(left), Number(right)];
      const results: Record<string, number> = {
        "+": a + b,
        "-": a - b,
        "*": a * b,
        "/": a / b,
        "%": a % b,
        "^": a ** b,
      };
      return format((results[operator ?? ""] ?? Number.NaN) + wrong);
    },
  };
}

test("the scene of the product description: two calls, and the answer is 45", async () => {
  const turn = await playTurn(client, "What is 5 + 10, then multiply by 3?", [calculator()]);
  expect(turn.calls).toEqual([
    { name: "calculator", arguments: '{"expression":"5 + 10"}' },
    { name: "calculator", arguments: '{"expression":"15 * 3"}' },
  ]);
  expect(turn.answer).toBe("5 + 10 = 15, then 15 × 3 = 45. The answer is 45.");
});

test.each([
  ["What is 7 + 8, then multiply by 4?", "60"],
  ["What is 7 plus 8, and then multiply the result by 4?", "60"],
  ["What is 100 minus 1, divided by 9 and then add 2?", "13"],
  ["Calculate 20 - 6, then subtract it from 100, then divide by 2", "43"],
  ["Add 5 and 10, then times 3, minus 5", "40"],
  ["What is 3 - 10, then raise it to the power of 2?", "49"],
])("%s → %s", async (prompt, answer) => {
  const turn = await playTurn(client, prompt, [calculator()]);
  expect(turn.answer).toContain(`The answer is ${answer}.`);
});

test.each([
  ["a plain number", String],
  ["a number in words", (result: number) => `The result is ${result}.`],
  ["an equation", (result: number) => `5 + 10 = ${result}`],
  ["JSON", (result: number) => JSON.stringify({ result })],
  ["JSON with the number as a string", (result: number) => JSON.stringify({ value: String(result) })],
])("understands %s", async (_what, format) => {
  const turn = await playTurn(client, "What is 5 + 10, then multiply by 3?", [calculator(format)]);
  expect(turn.answer).toContain("The answer is 45.");
});

test("a calculator that is wrong makes the answer wrong: nothing is computed here", async () => {
  const turn = await playTurn(client, "What is 5 + 10, then multiply by 3?", [calculator(String, 1)]);
  expect(turn.calls[1]?.arguments).toBe('{"expression":"16 * 3"}');
  expect(turn.answer).toContain("The answer is 49.");
});

test.each(["Division by zero.", "Error: unexpected 3 at position 3", '{"error":"15"}', "twelve", "NaN"])(
  "a result without a number (%s) is said honestly",
  async (content) => {
    const turn = await playTurn(client, "What is 5 / 0, then multiply by 3?", [calculator(() => content)]);
    expect(turn.calls).toHaveLength(1);
    expect(turn.answer).toMatch(/did not give me a number.*no answer/s);
    expect(turn.answer).not.toContain("The answer is");
  },
);

test("a negative result keeps its sign: it goes into parentheses", async () => {
  const turn = await playTurn(client, "What is 3 - 10, then raise it to the power of 2?", [calculator()]);
  expect(turn.calls[1]?.arguments).toBe('{"expression":"(-7) ^ 2"}');
});

test("the argument's name is read from the schema", async () => {
  const tool: PlayedTool = {
    name: "calculator",
    properties: { precision: { type: "number" }, formula: { type: "string" } },
    run: () => "15",
  };
  const turn = await playTurn(client, "What is 5 + 10?", [tool]);
  expect(turn.calls).toEqual([{ name: "calculator", arguments: '{"formula":"5 + 10"}' }]);
});

test("without a calculator it says so", async () => {
  const turn = await playTurn(client, "What is 5 + 10, then multiply by 3?", []);
  expect(turn.answer).toContain("`calculator`, but it is not offered to me");
});

test("a user message posted during the run begins a new turn", async () => {
  const answer = await client.chat.completions.create({
    model: "demo",
    messages: [
      { role: "user", content: "What is 5 + 10, then multiply by 3?" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "a", type: "function", function: { name: "calculator", arguments: "{}" } }],
      },
      { role: "tool", tool_call_id: "a", content: "15" },
      { role: "user", content: "No: what is 1 + 1?" },
    ],
    tools: [{ type: "function", function: { name: "calculator", parameters: { type: "object", properties: {} } } }],
  });
  expect(answer.choices[0]?.message.tool_calls).toMatchObject([{ function: { arguments: '{"expression":"1 + 1"}' } }]);
});
