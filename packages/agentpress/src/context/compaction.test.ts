import fc from "fast-check";
import { expect, test } from "vitest";
import { type AgentMessage, textOf, toolMessage, userMessage } from "../messages.ts";
import { fileCatalogue } from "../models/catalogue.ts";
import { anInput } from "../testing/run.ts";
import { wellFormedHistory } from "./history.ts";
import { withLeastOutputs, withOldOutputsLeftOut } from "./outputs.ts";
import { messagesToSend, startContext } from "./run-context.ts";
import { splitForSummary, summaryMessage, withSummary } from "./summary.ts";
import { tokensOf } from "./tokens.ts";

const image = { type: "image" as const, url: "data:image/png;base64,AAAA" };

/** Any conversation: questions, answers, calls with results short and long, some with pictures; ids are unique. */
const conversation = fc
  .array(
    fc.oneof(
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 900 }).map((size) => ({ kind: "user" as const, size })) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 900 }).map((size) => ({ kind: "says" as const, size })) },
      {
        weight: 4,
        arbitrary: fc
          .array(fc.tuple(fc.integer({ min: 0, max: 4_000 }), fc.boolean()), { minLength: 1, maxLength: 3 })
          .map((results) => ({ kind: "calls" as const, results })),
      },
    ),
    { maxLength: 40 },
  )
  .map((turns) => {
    const history: AgentMessage[] = [{ ...userMessage("the task"), id: "task" }];
    for (const [index, turn] of turns.entries()) {
      const id = `m${index}`;
      if (turn.kind === "user") history.push({ ...userMessage(`${id} ${"u".repeat(turn.size)}`), id });
      else if (turn.kind === "says") {
        const content = [{ type: "text" as const, text: `${id} ${"a".repeat(turn.size)}` }];
        history.push({ id, role: "assistant", content, tool_calls: [], status: "complete" });
      } else {
        const calls = turn.results.map((_, nth) => ({ id: `${id}-${nth}`, name: "t", arguments: {} }));
        history.push({ id, role: "assistant", content: [], tool_calls: calls, status: "complete" });
        for (const [nth, [size, picture]] of turn.results.entries()) {
          const result = toolMessage(`${id}-${nth}`, "r".repeat(size));
          history.push(picture ? { ...result, content: [...result.content, image] } : result);
        }
      }
    }
    return history;
  });

const room = fc.integer({ min: 200, max: 6_000 });
const sizeOf = (messages: readonly AgentMessage[]): number => messages.reduce((sum, one) => sum + tokensOf(one), 0);

/** What may be sent at all: whole turns. */
const boundaries = (history: readonly AgentMessage[]): number[] =>
  history.flatMap((message, index) => (message.role === "tool" || index === 0 ? [] : [index])).concat(history.length);

test("leaving results out keeps everything else, its order and its form, and never makes it longer", () => {
  fc.assert(
    fc.property(conversation, room, fc.boolean(), (history, tokens, least) => {
      const sent = least ? withLeastOutputs(history, tokens) : withOldOutputsLeftOut(history, tokens);
      expect(sent).toHaveLength(history.length);
      expect(wellFormedHistory(sent)).toEqual(sent);
      const talk = (messages: readonly AgentMessage[]) => messages.filter((one) => one.role !== "tool");
      const results = (messages: readonly AgentMessage[]) =>
        messages.map((one) => (one.role === "tool" ? one.tool_call_id : null));
      expect(talk(sent)).toEqual(talk(history));
      expect(results(sent)).toEqual(results(history));
      expect(sent.filter((one, index) => tokensOf(one) > tokensOf(history[index] ?? one))).toEqual([]);
    }),
  );
});

test("what is sent follows from the messages alone: a fresh reading of the same ones sends the same", () => {
  fc.assert(
    fc.property(conversation, room, (history, tokens) => {
      expect(withOldOutputsLeftOut(structuredClone(history), tokens)).toEqual(withOldOutputsLeftOut(history, tokens));
    }),
  );
});

test("the next request begins with this one, except where a block of results is left out; and blocks are seldom", () => {
  fc.assert(
    fc.property(conversation, room, (history, tokens) => {
      let before: AgentMessage[] = [];
      let changes = 0;
      for (const end of boundaries(history)) {
        const sent = withOldOutputsLeftOut(history.slice(0, end), tokens);
        if (JSON.stringify(sent.slice(0, before.length)) !== JSON.stringify(before)) changes += 1;
        before = sent;
      }
      // Each block takes as much as outputsBlock of the room to come about.
      expect(changes).toBeLessThanOrEqual(sizeOf(history) / (tokens * 0.15));
    }),
  );
});

test("the newest turns stay as they are, as far as they fit into their share", () => {
  fc.assert(
    fc.property(conversation, room, (history, tokens) => {
      const sent = withOldOutputsLeftOut(history, tokens);
      const starts = history.flatMap((message, index) => (message.role === "tool" ? [] : [index]));
      const first = starts.find((start) => sizeOf(history.slice(start)) <= tokens * 0.25) ?? history.length;
      for (let index = first; index < history.length; index += 1) expect(sent[index]).toBe(history[index]);
    }),
  );
});

test("a summary keeps the task, the latest message of the user and whole recent turns; all else is in its part", () => {
  fc.assert(
    fc.property(conversation, room, fc.boolean(), (messages, tokens, again) => {
      const history = again ? withSummary(messages, { id: "s", text: "so far" }) : messages;
      const split = splitForSummary(history, { tokens: tokens * 0.3, least: tokens * 0.15 });
      if (split === null) return;
      const { older, kept, recent } = split;
      const ids = (some: readonly AgentMessage[]) => some.map((one) => one.id);
      expect([...older, ...kept, ...recent].toSorted((a, b) => history.indexOf(a) - history.indexOf(b))).toEqual(
        history,
      );
      expect(recent).toEqual(history.slice(-recent.length));
      expect(recent.length).toBeGreaterThan(0);
      expect(ids([...kept, ...recent])).toContain("task");
      const asked = messages.filter((one) => one.role === "user").at(-1);
      expect([...kept, ...recent]).toContain(asked);
      expect(older.some((one) => one.role === "user" && one.origin === "summary")).toBe(again);

      const after = [summaryMessage({ id: "t", text: "new" }), ...kept, ...recent];
      expect(wellFormedHistory(after)).toEqual(after);
      expect(after.filter((one) => one.role === "user").at(-1)).toBe(asked);
      expect(splitForSummary(structuredClone(history), { tokens: tokens * 0.3, least: tokens * 0.15 })).toEqual(split);
    }),
  );
});

test("whatever single results were read, the last resort leaves room, unless what may not be cut fills it", () => {
  fc.assert(
    fc.property(conversation, room, (history, tokens) => {
      const without = history.map((message) =>
        message.role === "tool" ? toolMessage(message.tool_call_id, "") : message,
      );
      const stubs = history.filter((message) => message.role === "tool").length * 60;
      const sent = withLeastOutputs(withOldOutputsLeftOut(history.map(textOnly), tokens), tokens);
      expect(sizeOf(sent)).toBeLessThanOrEqual(Math.max(tokens, sizeOf(without) + stubs));
    }),
  );
});

const textOnly = (message: AgentMessage): AgentMessage =>
  message.role === "tool" ? toolMessage(message.tool_call_id, textOf(message.content)) : message;

test("a stub and a cut result say how to get the rest", () => {
  const calls = (id: string): AgentMessage => ({
    role: "assistant",
    content: [],
    tool_calls: [{ id, name: "t", arguments: {} }],
    status: "complete",
  });
  const history = [
    userMessage("x"),
    ...["1", "2", "3"].flatMap((id) => [calls(id), toolMessage(id, "r".repeat(1_600))]),
    calls("4"),
    toolMessage("4", "r".repeat(9_000)),
  ];
  const sent = withOldOutputsLeftOut(history, 2_000).map((message) => textOf(message.content));
  expect(sent[2]).toBe('[1600 characters left out to save room. expand_message with id "1" shows them.]');
  expect(sent.at(-1)).toContain('expand_message with id "4" shows all of it');
  expect(sent.at(-1)?.length).toBeLessThan(2_300);
});

test("a model that cannot see is told of pictures, one that can gets the newest, in blocks", () => {
  const history = [...Array(10).keys()].map((nth): AgentMessage => ({
    role: "user",
    content: [{ type: "text", text: `${nth}` }, image],
  }));
  const sentTo = (model: string) => {
    const known = fileCatalogue.find(model);
    return messagesToSend(startContext(anInput({ model })), { name: model, known, price: null }, history, 0);
  };
  const pictures = (model: string) =>
    sentTo(model).map(({ content }) => content.filter((part) => part.type === "image").length);
  expect(pictures("gpt-4o")).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
  expect(pictures("demo")).toEqual(history.map(() => 0));
  expect(pictures("nobody-knows-it")).toEqual(history.map(() => 0));
  expect(textOf(sentTo("demo")[0]?.content ?? [])).toContain("cannot see");
});
