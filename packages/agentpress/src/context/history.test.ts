import type { Message } from "@cortex/contracts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { type AgentMessage, textOf, toolMessage, userMessage } from "../messages.ts";
import { asAsked } from "./continuation.ts";
import { fromStored, wellFormedHistory } from "./history.ts";

const says = (text: string, status: "complete" | "interrupted" = "complete"): AgentMessage => ({
  role: "assistant",
  content: text === "" ? [] : [{ type: "text", text }],
  tool_calls: [],
  status,
});

const asks = (...ids: string[]): AgentMessage => ({
  role: "assistant",
  content: [],
  tool_calls: ids.map((id) => ({ id, name: "t", arguments: {} })),
  status: "complete",
});

/** `u` user, `a` answer, `a(x)` call x, `x` its result. */
const sketch = (messages: readonly AgentMessage[]): string =>
  messages
    .map((message) => {
      if (message.role === "user") return "u";
      if (message.role === "tool") return message.tool_call_id;
      return `a(${message.tool_calls.map((call) => call.id).join(",")})`;
    })
    .join(" ");

test("results stand behind their calls, wherever they were stored", () => {
  const stored = [userMessage("x"), asks("1", "2"), userMessage("y"), toolMessage("2", "b"), toolMessage("1", "a")];
  expect(sketch(wellFormedHistory(stored))).toBe("u a(1,2) 1 2 u");
});

test("a lost result is said to be lost, an ownerless one is left out", () => {
  const history = wellFormedHistory([userMessage("x"), asks("1"), toolMessage("9", "?"), says("end")]);
  expect(sketch(history)).toBe("u a(1) 1 a()");
  expect(textOf(history[2]?.content ?? [])).toContain("not known whether it happened");
});

test("empty messages are left out, a cut answer is marked", () => {
  const history = asAsked(
    wellFormedHistory([
      userMessage("x"),
      says(""),
      { role: "user", content: [] },
      says("half", "interrupted"),
      userMessage("y"),
    ]),
  );
  expect(sketch(history)).toBe("u a() u");
  expect(textOf(history[1]?.content ?? [])).toBe("half\n[This answer was interrupted here.]");
});

test("an id that was used twice names two results, in their order", () => {
  const stored = [userMessage("x"), asks("1"), toolMessage("1", "first"), asks("1"), toolMessage("1", "second")];
  expect(
    wellFormedHistory(stored).flatMap((message) => (message.role === "tool" ? [textOf(message.content)] : [])),
  ).toEqual(["first", "second"]);
});

test("whatever was stored, every call has exactly one result right behind it, and a second look changes nothing", () => {
  const id = fc.constantFrom("1", "2", "3", "4");
  const message = fc.oneof(
    fc.constant(userMessage("u")),
    fc.constant(says("a")),
    fc.uniqueArray(id, { maxLength: 3 }).map((ids) => asks(...ids)),
    id.map((one) => toolMessage(one, one)),
  );
  fc.assert(
    fc.property(fc.array(message, { maxLength: 20 }), (stored) => {
      const history = wellFormedHistory(stored);
      // What must come next is what does: the results of the last answer, then anything else.
      const expected = history.flatMap((one) =>
        one.role === "tool" ? [] : [one, ...(one.role === "assistant" ? one.tool_calls.map((call) => call.id) : [])],
      );
      expect(history.map((one) => (one.role === "tool" ? one.tool_call_id : one))).toEqual(expected);
      expect(wellFormedHistory(history)).toEqual(history);
    }),
  );
});

test("two answers never stand side by side, not even when what parted them was posted while the first was written", () => {
  const stored = [
    userMessage("one"),
    userMessage("two"),
    says("First."),
    says("Second."),
    asks("1"),
    toolMessage("1", "r"),
  ];
  const asked = asAsked(wellFormedHistory(stored));
  expect(asked.map(({ role }) => role)).toEqual(["user", "user", "assistant", "tool"]);
  expect(asked[2]).toMatchObject({ content: [{ text: "First.\n\nSecond." }], tool_calls: [{ id: "1" }] });
  expect(asAsked([userMessage("go"), says("First."), userMessage("and?"), says("Second.")])).toHaveLength(4);
});

test("stored messages are read by their role", () => {
  const stored = {
    id: "m",
    thread_id: "t",
    run_id: null,
    seq: 0,
    status: "complete",
    content: [{ type: "text", text: "x" }],
    metadata: {},
    created_at: "2026-01-01T00:00:00.000Z",
  } as unknown as Message;
  expect(fromStored({ ...stored, role: "user" })).toEqual({ id: "m", role: "user", content: stored.content });
  expect(fromStored({ ...stored, role: "assistant" })).toEqual({
    id: "m",
    role: "assistant",
    content: stored.content,
    tool_calls: [],
    status: "complete",
  });
  expect(fromStored({ ...stored, role: "tool", tool_call_id: "1" })).toEqual({
    id: "m",
    role: "tool",
    content: stored.content,
    tool_call_id: "1",
  });
});
