import { expect, test } from "vitest";
import { readInputSchema } from "./input-schema.ts";
import { listingHash, readListing } from "./listing.ts";
import { nameTools } from "./tool-name.ts";

const schema = { type: "object", properties: { q: { type: "string" } }, required: ["q"] };

test("a hash stands for name, description and schema, whatever the order of keys", () => {
  const hashOf = (tool: object) =>
    readListing([{ name: "a", description: "b", inputSchema: schema, ...tool }]).tools[0]?.hash;
  expect(hashOf({ inputSchema: { required: ["q"], properties: { q: { type: "string" } }, type: "object" } })).toBe(
    hashOf({}),
  );
  for (const change of [{ name: "c" }, { description: "b " }, { inputSchema: { ...schema, required: [] } }])
    expect(hashOf(change)).not.toBe(hashOf({}));
});

test("the hash of a list changes with any tool in it", () => {
  const [one, two] = [
    { name: "a", hash: "1" },
    { name: "b", hash: "2" },
  ];
  expect(listingHash([one])).not.toBe(listingHash([one, two]));
  expect(listingHash([one, two])).not.toBe(listingHash([one, { ...two, hash: "3" }]));
});

test.each([
  ["no schema", undefined],
  ["a text", "object"],
  ["a list", []],
  ["another type", { type: "string" }],
  ["an unknown type", { type: "object", properties: { q: { type: "text" } } }],
  ["properties that are a list", { type: "object", properties: [] }],
  ["a reference to nowhere", { type: "object", properties: { q: { $ref: "#/$defs/q" } } }],
  ["a reference to another document", { type: "object", properties: { q: { $ref: "https://example.org/q" } } }],
  ["alternatives that are no list", { type: "object", anyOf: {} }],
  ["endless text", { type: "object", description: "x".repeat(40_000) }],
  [
    "endless depth",
    Array.from({ length: 60 }).reduce<object>((inner) => ({ type: "object", properties: { q: inner } }), {}),
  ],
])("a tool with %s as its schema is refused, and the others are kept", (_, inputSchema) => {
  const listing = readListing([
    { name: "bad", inputSchema },
    { name: "good", inputSchema: schema },
  ]);
  expect(listing.tools.map(({ name }) => name)).toEqual(["good"]);
  expect(listing.refused).toMatchObject([{ name: "bad", reason: expect.stringContaining("schema") as unknown }]);
});

test("names that are missing, endless or taken, and more tools than anybody can use", () => {
  const tools = [
    { inputSchema: schema },
    { name: "x".repeat(200), inputSchema: schema },
    { name: "a", inputSchema: schema },
  ];
  expect(readListing([...tools, { name: "a", inputSchema: schema }]).refused).toHaveLength(3);
  const long = Array.from({ length: 40 }, (_, index) => ({
    name: `t${index}`,
    inputSchema: { ...schema, description: "x".repeat(20_000) },
  }));
  expect(readListing(long).tools).toHaveLength(12);
  const many = Array.from({ length: 400 }, (_, index) => ({ name: `t${index}`, inputSchema: schema }));
  expect(readListing(many).tools).toHaveLength(64);
});

test("arguments are checked, with words for what is wrong", () => {
  const read = readInputSchema({ ...schema, additionalProperties: false });
  if (!read.ok) throw new Error(read.problem);
  expect(read.check({ q: "x" })).toBeNull();
  expect(read.check({ q: 5 })).toContain("#/q");
  expect(read.check({})).toContain("q");
  expect(read.check({ q: "x", other: 1 })).toContain("other");
  expect(read.check([])).not.toBeNull();
});

test("references are followed, a schema that contains itself too; one that grows without end is refused at once", () => {
  const tree = {
    type: "object",
    properties: { next: { $ref: "#" }, name: { $ref: "#/$defs/name" } },
    $defs: { name: { type: "string" } },
  };
  const read = readInputSchema(tree);
  expect(read.ok && read.check({ next: { next: {} }, name: "x" })).toBeNull();
  expect(read.ok && read.check({ name: 5 })).not.toBeNull();
  const twice = (to: string) => ({ anyOf: [{ $ref: to }, { $ref: to }] });
  const levels = Array.from({ length: 30 }, (_, level): [string, object] => [
    `l${level}`,
    level === 29 ? { type: "null" } : twice(`#/$defs/l${level + 1}`),
  ]);
  const bomb = { type: "object", properties: { q: twice("#/$defs/l0") }, $defs: Object.fromEntries(levels) };
  expect(readInputSchema(bomb)).toMatchObject({ ok: false, problem: expect.stringContaining("too") as unknown });
});

test("a pattern of the server costs nothing here", () => {
  const read = readInputSchema({ type: "object", properties: { q: { type: "string", pattern: "^(a+)+$" } } });
  expect(read.ok && read.check({ q: `${"a".repeat(50)}!` })).toBeNull();
});

test("tools get names that models can call, each its own, and keep them", () => {
  const first = nameTools("ours", ["get-weather", "search"], new Map());
  expect([...first]).toEqual([
    ["get-weather", "mcp_ours_get_weather"],
    ["search", "mcp_ours_search"],
  ]);
  const more = nameTools("ours", ["get_weather", "get-weather", "x".repeat(120), "日本"], first);
  expect(more.get("get-weather")).toBe("mcp_ours_get_weather");
  expect(new Set(more.values()).size).toBe(4);
  for (const name of more.values()) expect(name).toMatch(/^[a-z][a-z0-9_]{0,63}$/);
});
