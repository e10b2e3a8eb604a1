import { loadToolCatalogue } from "@cortex/agentpress/catalogue";
import { expect, test } from "vitest";
import { createArgumentsCheck } from "./edited-arguments.ts";

const tools = await loadToolCatalogue();
const check = createArgumentsCheck(tools);

test("arguments of a person are held against the schema of every tool that there is", () => {
  expect(check("calculator", { expression: "1 + 1" })).toBeNull();
  for (const { name } of tools)
    expect([name, check(name, { nonsense: 1 })]).toEqual([name, expect.stringContaining("schema")]);
});

test("what could not be stored as it is, is refused: nobody approves one thing and runs another", () => {
  const nested = (depth: number): Record<string, unknown> => (depth === 0 ? {} : { a: nested(depth - 1) });
  const of = (args: Record<string, unknown>) => check("of another server", args as never);
  expect(of(nested(60))).toBeNull();
  expect(of(nested(70))).toContain("nested");
  expect(of({ a: "\ud800" })).toContain("surrogate");
  expect(of(JSON.parse('{"a":[1e999]}') as Record<string, unknown>)).toContain("number");
});
