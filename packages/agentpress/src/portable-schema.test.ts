import { expect, test } from "vitest";
import { discoverTools } from "./discover-tools.ts";
import { portableSchema } from "./portable-schema.ts";
import { defineForeignTool } from "./tool.ts";

test("no tool of ours says what makes a provider refuse every request", async () => {
  for (const { name, parameters } of await discoverTools()) {
    const text = JSON.stringify(parameters);
    expect({ name, found: /\(\?<?[=!]|\\\\[1-9]|"propertyNames"|9007199254740991/.exec(text)?.[0] }).toEqual({ name });
  }
});

test("a stranger's schema loses that too, wherever it stands, and nothing else; the check is its own", () => {
  const email = { type: "string", pattern: "^(?!\\.)[a-z.]+@x$" };
  const parameters = {
    type: "object",
    properties: {
      pattern: { type: "string", pattern: "^[a-z]+$" },
      propertyNames: { anyOf: [email, { type: "null" }] },
      twice: { type: "array", items: { pattern: "(a)\\1" }, default: [{ pattern: "(?=x)" }] },
      any: { type: "object", propertyNames: { type: "string" }, additionalProperties: email },
    },
    required: ["propertyNames"],
  };
  const before = structuredClone(parameters);
  const tool = defineForeignTool({
    name: "stranger",
    title: "T",
    description: "d",
    effect: "once",
    parameters,
    check: () => "as it was",
    timeoutMs: 1,
    maxResultChars: 1,
    execute: async () => "",
  });
  expect(tool.parameters).toEqual({
    type: "object",
    properties: {
      pattern: { type: "string", pattern: "^[a-z]+$" },
      propertyNames: { anyOf: [{ type: "string" }, { type: "null" }] },
      twice: { type: "array", items: {}, default: [{ pattern: "(?=x)" }] },
      any: { type: "object", additionalProperties: { type: "string" } },
    },
    required: ["propertyNames"],
  });
  expect(parameters).toEqual(before);
  expect(tool.check({})).toContain("as it was");
});

test("a schema of any depth is no danger", () => {
  let deep: Record<string, unknown> = {};
  for (let level = 0; level < 100_000; level += 1) deep = { items: deep };
  expect(portableSchema(deep)).toHaveProperty("items.items.items");
});
