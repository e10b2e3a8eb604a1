import { expect, test } from "vitest";
import { type AgentMessage, toolMessage, userMessage } from "../messages.ts";
import type { ModelRequest } from "../model.ts";
import { chatBody } from "./openai-request.ts";

const picture = { mediaType: "image/png" as const, data: "AAAA" };

const asks = (...ids: string[]): AgentMessage => ({
  role: "assistant",
  content: [],
  tool_calls: ids.map((id) => ({ id, name: "view_image", arguments: {} })),
  status: "complete",
});

const request = (messages: AgentMessage[], promptCache: ModelRequest["promptCache"] = "automatic"): ModelRequest => ({
  model: "m",
  instructions: "Be brief.",
  messages,
  tools: [{ name: "view_image", description: "Shows.", parameters: { type: "object" } }],
  parameters: {},
  promptCache,
  headers: {},
});

test("pictures of results stand behind all results of their step, in a message of the user", () => {
  const messages = [
    userMessage("look"),
    asks("a", "b"),
    toolMessage("a", "one", [picture]),
    toolMessage("b", "two"),
    userMessage("and?"),
    asks("c"),
    toolMessage("c", "three", [picture, picture]),
  ];
  const url = { type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } };
  expect(chatBody(request(messages)).messages.slice(1)).toEqual([
    { role: "user", content: "look" },
    expect.objectContaining({ role: "assistant" }),
    { role: "tool", tool_call_id: "a", content: "one" },
    { role: "tool", tool_call_id: "b", content: "two" },
    { role: "user", content: [{ type: "text", text: "[Shown by the call a:]" }, url] },
    { role: "user", content: "and?" },
    expect.objectContaining({ role: "assistant" }),
    { role: "tool", tool_call_id: "c", content: "three" },
    { role: "user", content: [{ type: "text", text: "[Shown by the call c:]" }, url, url] },
  ]);
});

const steps: AgentMessage[] = [
  userMessage("look"),
  asks("a"),
  toolMessage("a", "one"),
  asks("b"),
  toolMessage("b", ""),
  asks("c"),
  toolMessage("c", "three", [picture]),
];

const mark = { cache_control: { type: "ephemeral" } };

/** Which messages of a request carry a mark. */
const marksOf = (messages: AgentMessage[]): number[] =>
  chatBody(request(messages, "explicit")).messages.flatMap((message, index) =>
    JSON.stringify(message).includes("cache_control") ? [index] : [],
  );

test("a provider that wants it marked gets marks at the prompt, at the end of the step before, and at the end", () => {
  const body = chatBody(request(steps.slice(0, 3), "explicit"));
  expect(body.messages).toEqual([
    { role: "system", content: [{ type: "text", text: "Be brief.", ...mark }] },
    { role: "user", content: [{ type: "text", text: "look", ...mark }] },
    expect.objectContaining({ role: "assistant", content: null }),
    { role: "tool", tool_call_id: "a", content: [{ type: "text", text: "one", ...mark }] },
  ]);
  // 0 is the prompt; an empty result cannot be marked, and pictures stand in a message of their own.
  expect(marksOf(steps.slice(0, 1))).toEqual([0, 1]);
  expect(marksOf(steps.slice(0, 5))).toEqual([0, 3]);
  expect(marksOf(steps)).toEqual([0, 3, 8]);
});

test("others get none; and without its marks each request begins with the bytes of the one before", () => {
  for (const promptCache of ["automatic", "none", "explicit"] as const) {
    const texts = [1, 3, 5, 7].map((end) =>
      JSON.stringify(chatBody(request(steps.slice(0, end), promptCache)).messages),
    );
    expect(texts.some((text) => text.includes("cache_control"))).toBe(promptCache === "explicit");
    const bare = texts.map((text) => text.replaceAll(',"cache_control":{"type":"ephemeral"}', ""));
    for (const [nth, text] of bare.entries()) {
      expect(text.startsWith((bare[nth - 1] ?? "").slice(0, -1))).toBe(true);
    }
  }
});
