import { afterAll, beforeAll, expect, test } from "vitest";
import { type DemoModel, startDemoModel } from "../demo-model.ts";

let model: DemoModel;

beforeAll(async () => {
  model = await startDemoModel({ port: 0 });
});
afterAll(() => model.close());

async function post(body: string): Promise<{ status: number; error: unknown }> {
  const response = await fetch(`${model.url}/chat/completions`, { method: "POST", body });
  const answer: unknown = await response.json();
  return { status: response.status, error: answer };
}

const aSentence: unknown = expect.stringMatching(/^[A-Z].*\.$/s);
const user = { role: "user", content: "hi" };
const calls = (...ids: string[]) => ({
  role: "assistant",
  content: null,
  tool_calls: ids.map((id) => ({ id, type: "function", function: { name: "a", arguments: "{}" } })),
});
const result = (tool_call_id: string) => ({ role: "tool", tool_call_id, content: "ok" });
const tool = (parameters: unknown, rest: object = {}) => ({
  type: "function",
  function: { name: "a", parameters, ...rest },
});

test.each<[string, object[]]>([
  ["one user message", [user]],
  ["instructions, then a conversation", [{ role: "system", content: "x" }, { role: "developer", content: "y" }, user]],
  ["two user messages in a row", [user, user]],
  ["parallel calls, answered in any order", [user, calls("a", "b"), result("b"), result("a")]],
  ["the same call id in a later answer", [user, calls("a"), result("a"), calls("a"), result("a")]],
  ["a message after the results", [user, calls("a"), result("a"), user]],
  [
    "parts",
    [
      {
        role: "user",
        content: [
          { type: "text", text: "hi" },
          { type: "image_url", image_url: { url: "data:," } },
        ],
      },
    ],
  ],
])("accepts %s", async (_what, messages) => {
  expect((await post(JSON.stringify({ model: "demo", messages }))).status).toBe(200);
});

test.each<[string, object[], string]>([
  ["an unknown role", [{ role: "robot", content: "x" }], "messages[0].role"],
  ["no content", [{ role: "user" }], "messages[0].content"],
  ["content of a wrong type", [{ role: "user", content: 5 }], "messages[0].content"],
  ["an unknown part", [{ role: "user", content: [{ type: "smell" }] }], "messages[0].content[0].type"],
  ["an answer without text and calls", [user, { role: "assistant", content: null }, user], "messages[1].content"],
  [
    "an empty list of calls",
    [user, { role: "assistant", content: "x", tool_calls: [] }, user],
    "messages[1].tool_calls",
  ],
  ["a result without a call", [user, result("a")], "messages[1].tool_call_id"],
  ["a result for another call", [user, calls("a"), result("b")], "messages[2].tool_call_id"],
  ["a second result for one call", [user, calls("a"), result("a"), result("a")], "messages[3].tool_call_id"],
  ["a result without its id", [user, calls("a"), { role: "tool", content: "x" }], "messages[2].tool_call_id"],
  ["a call that nobody answered", [user, calls("a", "b"), result("a"), user], "messages"],
  ["a call that nobody answered at the end", [user, calls("a")], "messages"],
  ["two calls with one id", [user, calls("a", "a"), result("a")], "messages[1].tool_calls"],
  ["the assistant as the first speaker", [{ role: "assistant", content: "x" }, user], "messages[0].role"],
  ["the assistant as the last speaker", [user, { role: "assistant", content: "x" }], "messages"],
  ["instructions amid the conversation", [user, { role: "system", content: "x" }, user], "messages[1].role"],
  ["instructions only", [{ role: "system", content: "x" }], "messages"],
  ["no messages", [], "messages"],
])("refuses %s", async (_what, messages, param) => {
  expect(await post(JSON.stringify({ model: "demo", messages }))).toMatchObject({
    status: 400,
    error: { error: { type: "invalid_request_error", param, message: aSentence } },
  });
});

test.each<[string, object, string]>([
  ["no messages at all", { messages: undefined }, "messages"],
  ["an unknown model", { model: "gpt-5" }, "model"],
  ["no model", { model: undefined }, "model"],
  ["an unknown parameter", { max_token: 5 }, "max_token"],
  ["a temperature out of range", { temperature: 3 }, "temperature"],
  ["max_tokens 0", { max_tokens: 0 }, "max_tokens"],
  ["stream as a string", { stream: "yes" }, "stream"],
  ["stream_options without stream", { stream_options: { include_usage: true } }, "stream_options"],
  ["several choices", { n: 2 }, "n"],
  ["a response format", { response_format: { type: "json_object" } }, "response_format"],
  ["tool_choice without tools", { tool_choice: "auto" }, "tool_choice"],
  ["an empty list of tools", { tools: [] }, "tools"],
  ["a tool without a name", { tools: [tool({ type: "object" }, { name: "" })] }, "tools[0].function.name"],
  ["a tool with a bad name", { tools: [tool({ type: "object" }, { name: "a b" })] }, "tools[0].function.name"],
  ["two tools of one name", { tools: [tool({ type: "object" }), tool({ type: "object" })] }, "tools[1].function.name"],
  ["parameters that are no object schema", { tools: [tool({ type: "string" })] }, "tools[0].function.parameters"],
  [
    "a required property that is missing",
    { tools: [tool({ type: "object", required: ["x"] })] },
    "tools[0].function.parameters",
  ],
  [
    "an array without items",
    { tools: [tool({ type: "object", properties: { x: { type: "array" } } })] },
    "tools[0].function.parameters",
  ],
  [
    "a strict schema with an optional property",
    {
      tools: [
        tool({ type: "object", properties: { x: { type: "string" } }, additionalProperties: false }, { strict: true }),
      ],
    },
    "tools[0].function.parameters",
  ],
])("refuses %s", async (_what, change, param) => {
  expect(await post(JSON.stringify({ model: "demo", messages: [user], ...change }))).toMatchObject({
    status: 400,
    error: { error: { type: "invalid_request_error", param } },
  });
});

test.each(["", "{", "[]", "null", '"hi"'])("refuses the body %j", async (body) => {
  expect(await post(body)).toMatchObject({
    status: 400,
    error: { error: { type: "invalid_request_error", param: null } },
  });
});

test("refuses a body above its bound", async () => {
  expect(await post(" ".repeat(33 * 1024 * 1024))).toMatchObject({
    status: 413,
    error: { error: { code: "request_too_large" } },
  });
});

test("tool_choice none offers no tools", async () => {
  const body = {
    model: "demo",
    messages: [{ role: "user", content: "Run `ls`" }],
    tools: [tool({ type: "object" }, { name: "execute_command" })],
    tool_choice: "none",
  };
  const { error } = await post(JSON.stringify(body));
  expect(JSON.stringify(error)).toContain("not offered to me");
});
