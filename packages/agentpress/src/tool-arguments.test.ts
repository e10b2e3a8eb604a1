import { ToolCallRequest } from "@cortex/contracts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { z } from "zod";
import { storableJson } from "./storable.ts";
import { calls, says, scriptedModel } from "./testing/scripted-model.ts";
import { ofType, play } from "./testing/run.ts";
import { defineTool } from "./tool.ts";
import { canonical, parseArguments } from "./tool-arguments.ts";

test.each([
  ['{"a":1}', { a: 1 }],
  ["", {}],
  ["  \n", {}],
  [' {"a": {"b": [null, true]}} ', { a: { b: [null, true] } }],
  ['{"a":"x\\u0000y\\ud800"}', { a: "x\uFFFDy\uFFFD" }],
  ['{"a\\u0000":1}', { "a\uFFFD": 1 }],
  ['{"a":1,"a":2}', { a: 2 }],
])("%j is read", (text, value) => {
  expect(parseArguments(text)).toEqual({ ok: true, value });
});

test.each([
  ['{"a":1', "not valid JSON"],
  ["{a:1}", "not valid JSON"],
  ['{"a":1}{"a":1}', "not valid JSON"],
  ["[1]", "must be a JSON object"],
  ["null", "must be a JSON object"],
  ['"{}"', "must be a JSON object"],
  ["42", "must be a JSON object"],
  [`{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`, "nested deeper than 64"],
])("%.20s is refused", (text, problem) => {
  expect(parseArguments(text)).toEqual({ ok: false, problem: expect.stringContaining(problem) as string });
});

test("a key that names the prototype is a key like any other", () => {
  const parsed = parseArguments('{"__proto__":{"admin":true}}');
  expect(parsed.ok && Object.hasOwn(parsed.value as object, "__proto__")).toBe(true);
  expect({}).not.toHaveProperty("admin");
});

test("the same call is the same text, whatever the order of its keys", () => {
  expect(canonical({ b: [1, { d: null, c: "x" }], a: true })).toBe(canonical({ a: true, b: [1, { c: "x", d: null }] }));
  expect(canonical({ a: "1" })).not.toBe(canonical({ a: 1 }));
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const shuffled: unknown = JSON.parse(JSON.stringify(value));
      expect(canonical(storableJson(shuffled as never))).toBe(canonical(storableJson(value as never)));
    }),
  );
});

test("whatever a model writes as arguments, the run goes on and says what is wrong", async () => {
  const seen: unknown[] = [];
  const tool = defineTool({
    name: "strict",
    title: "Strict",
    description: "Takes exactly this.",
    effect: "once",
    schema: z.strictObject({ path: z.string().min(1), count: z.int().max(10).optional() }),
    timeoutMs: 1_000,
    maxResultChars: 500,
    execute: async (args) => {
      seen.push(args);
      return "ok";
    },
  });
  const valid = fc.record(
    { path: fc.string({ minLength: 1 }), count: fc.integer({ max: 10, min: -10 }) },
    { requiredKeys: ["path"] },
  );
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.json(),
    valid.map((args) => JSON.stringify(args)),
    // Cut somewhere: what a broken stream leaves.
    fc.tuple(valid, fc.nat()).map(([args, cut]) => JSON.stringify(args).slice(0, cut % 20)),
  );
  await fc.assert(
    fc.asyncProperty(text, async (args) => {
      seen.length = 0;
      const model = scriptedModel(calls({ name: "strict", args }), says("done"));
      const { events, outcome } = await play({ model, tools: [tool] });
      expect(outcome.kind).toBe("completed");
      const [result] = ofType(events, "tool_call.completed");
      const [answer] = ofType(events, "model.completed");
      // What ran is what is recorded, and what was refused did not run.
      expect(seen).toEqual(result?.is_error ? [] : [answer?.message.tool_calls[0]?.arguments]);
      expect(result?.effect_state).toBe(result?.is_error ? "none" : "done");
      expect(result?.result.length).toBeGreaterThan(1);
      const stored = JSON.stringify([answer?.message.tool_calls, result]);
      expect(stored).not.toMatch(/\\u0000|\\ud[89a-f]/);
      expect(() => z.array(ToolCallRequest).parse(answer?.message.tool_calls)).not.toThrow();
      // It can be asked again: the next request is well-formed.
      expect(model.requests[1]?.messages).toHaveLength(3);
    }),
    { numRuns: 500 },
  );
});
