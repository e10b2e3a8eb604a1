import fc from "fast-check";
import { expect, test } from "vitest";
import { Answer } from "./answer.ts";
import type { ModelEvent } from "./model.ts";

type Piece = Extract<ModelEvent, { type: "tool_call" }>;

const piece = fc.record({
  type: fc.constant("tool_call" as const),
  index: fc.integer({ min: -1, max: 3 }),
  id: fc.oneof(
    fc.constantFrom(null, "", "a", "b", "taken", "x".repeat(200)),
    fc.string({ unit: "binary", maxLength: 3 }),
  ),
  name: fc.constantFrom(null, "", "one", "two", "\u0000"),
  arguments: fc.oneof(fc.constantFrom("", "{", "}", '"a":1'), fc.string({ unit: "binary", maxLength: 5 })),
});
const words = fc.record({
  type: fc.constantFrom("text" as const, "reasoning" as const),
  text: fc.string({ unit: "binary" }),
});
const events: fc.Arbitrary<ModelEvent[]> = fc.array(fc.oneof(piece, words), { maxLength: 40 });

/** The calls as a reader of the live events puts them together. */
const followed = (answer: Answer, all: readonly ModelEvent[]): Map<string, string> => {
  const calls = new Map<string, string>();
  for (const event of all) {
    const shown = answer.take(event);
    if (shown?.type !== "tool_call.delta") continue;
    calls.set(shown.tool_call_id, (calls.get(shown.tool_call_id) ?? "") + shown.arguments_delta);
  }
  return calls;
};

test("however the pieces of calls are numbered and named, nothing is lost, nothing is mixed up, and each id names one call", () => {
  fc.assert(
    fc.property(events, (all) => {
      const answer = new Answer(new Set(["taken"]));
      const seen = followed(answer, all);
      const pieces = all.filter((event): event is Piece => event.type === "tool_call");
      // What followers saw is what is stored.
      expect([...seen]).toEqual(answer.calls.map((call) => [call.id, call.text]));
      expect(seen.has("taken")).toBe(false);
      expect(seen.size).toBe(answer.calls.length);
      expect(answer.calls.reduce((sum, call) => sum + call.text.length, 0)).toBe(
        pieces.reduce((sum, one) => sum + one.arguments.length, 0),
      );
      // Of one index, in their order.
      for (const index of new Set(pieces.map((one) => one.index))) {
        const text = pieces
          .filter((one) => one.index === index)
          .map((one) => one.arguments)
          .join("");
        expect(answer.calls.map((call) => call.text).join("").length).toBeGreaterThanOrEqual(text.length);
      }
      expect(
        answer.calls.every((call) => call.id !== "" && call.id.length <= 128 && !call.name.includes("\u0000")),
      ).toBe(true);
      expect(answer.text.isWellFormed() && answer.reasoning.isWellFormed()).toBe(true);
      expect(answer.shown).toBe(all.length > 0);
    }),
    { numRuns: 500, seed: 20261121 },
  );
});

test("pieces that a provider interleaves belong to the call of their index", () => {
  const args = fc.array(fc.tuple(fc.nat(3), fc.string({ maxLength: 4 })), { maxLength: 40 });
  fc.assert(
    fc.property(args, (all) => {
      const answer = new Answer(new Set());
      for (const [index, text] of all)
        answer.take({ type: "tool_call", index, id: null, name: `t${index}`, arguments: text });
      const expected = [...new Set(all.map(([index]) => index))].map((index) => [
        `t${index}`,
        all
          .filter(([one]) => one === index)
          .map(([, text]) => text)
          .join(""),
      ]);
      expect(answer.calls.map((call) => [call.name, call.text])).toEqual(expected);
    }),
    { numRuns: 200, seed: 20261121 },
  );
});

test("an answer that is longer than any model writes is given up", () => {
  const answer = new Answer(new Set());
  const more = (): void => {
    for (let n = 0; n < 5; n += 1) answer.take({ type: "text", text: "x".repeat(1_000_000) });
  };
  expect(more).toThrow("could not be used");
});
