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

test("arguments may be named like words of JSON Schema", () => {
  const named = ["pattern", "format", "definitions", "id", "items", "required", "enum", "type", "constructor"];
  const read = readInputSchema({
    type: "object",
    properties: Object.fromEntries(named.map((name) => [name, { type: "string" }])),
    additionalProperties: false,
  });
  expect(read.ok && read.check(Object.fromEntries(named.map((name) => [name, "x"])))).toBeNull();
  for (const name of named) expect(read.ok && read.check({ [name]: 5 })).toContain(name);
});

test("whatever a keyword holds, reading the schema and checking arguments end with words", () => {
  const keywords =
    "$id id $anchor $schema $ref prefixItems items contains dependentSchemas dependentRequired dependencies unevaluatedProperties " +
    "unevaluatedItems additionalProperties propertyNames minLength maximum exclusiveMinimum multipleOf minItems const enum anyOf not if " +
    "properties required type";
  const values = [5, "x", null, [], {}, true, [5], { a: 5 }, -1];
  for (const keyword of keywords.split(" ")) {
    for (const value of values) {
      for (const read of [
        readInputSchema({ type: "object", properties: { q: { [keyword]: value } } }),
        readInputSchema({ properties: { q: {} }, type: "object", [keyword]: value }),
      ]) {
        for (const q of ["s", 5, [1, { a: 2 }], { a: 1 }, null])
          expect(() => read.ok && read.check({ q })).not.toThrow();
      }
    }
  }
  const shared = { $id: "https://example.org/q", type: "string" };
  const twice = {
    type: "object",
    properties: { a: { $ref: "#/$defs/q" }, b: { $ref: "#/$defs/q" } },
    $defs: { q: shared },
  };
  expect(readInputSchema(twice)).toMatchObject({ ok: true });
});

test("models get a schema that their providers take; a tool whose arguments have names that they refuse is left out", () => {
  const parameters = (inputSchema: object) => readListing([{ name: "a", inputSchema }]).tools[0]?.parameters;
  expect(parameters({ type: "object" })).toEqual({ type: "object", properties: {} });
  const oneOf = [{ required: ["a"] }, { required: ["b"] }];
  expect(parameters({ type: "object", properties: { a: { type: "array" }, b: { oneOf } }, oneOf })).toEqual({
    type: "object",
    properties: { a: { type: "array", items: {} }, b: { oneOf } },
  });
  expect(
    parameters({ type: "object", required: ["q"], properties: { a: { type: "object", required: ["b"] } } }),
  ).toEqual({
    type: "object",
    properties: { a: { type: "object", required: [] } },
    required: [],
  });
  for (const name of ["a b", "$filter", "", "x".repeat(65)])
    expect(
      readListing([{ name: "a", inputSchema: { type: "object", properties: { [name]: {} } } }]).refused,
    ).toMatchObject([{ name: "a", reason: expect.stringContaining("names of its arguments") as unknown }]);
});

test("a pattern of the server costs nothing here", () => {
  const read = readInputSchema({ type: "object", properties: { q: { type: "string", pattern: "^(a+)+$" } } });
  expect(read.ok && read.check({ q: `${"a".repeat(50)}!` })).toBeNull();
});

test("a check costs little, whatever schema meets whatever arguments", () => {
  const branches = (level: number): object =>
    level === 0 ? { maxLength: 1 } : { anyOf: [branches(level - 1), branches(level - 1)] };
  const read = readInputSchema({ type: "object", properties: { q: { type: "array", items: branches(8) } } });
  const check = (q: unknown) => read.ok && read.check({ q });
  expect(check(["xx"])).toContain("#/q/0");
  // Each of these alone was hundreds of megabytes of findings, or minutes.
  expect(check(Array(20_000).fill("xx"))).toBeNull();
  expect(check(["x".repeat(10_000_000)])).toBeNull();
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
  // The server knows how names are marked, and has a tool that is named like the marked one.
  const marked = nameTools("ours", ["q", "Q"], new Map()).get("q")?.slice("mcp_ours_q_".length) ?? "";
  const sly = nameTools("ours", ["q", "Q", `Q_${marked}`], new Map());
  expect(new Set(sly.values()).size).toBe(3);
});
