import { eventually } from "@cortex/testing";
import { beforeAll, expect, test } from "vitest";
import { discoverTools } from "../discover-tools.ts";
import { ToolFailure } from "../errors.ts";
import type { Tool } from "../tool.ts";
import type { ToolOutcome } from "../tool-context.ts";

let tools: Tool[];
beforeAll(async () => {
  tools = await discoverTools();
});

const use = async (name: string, args: unknown, signal = new AbortController().signal): Promise<ToolOutcome> => {
  const tool = tools.find((candidate) => candidate.name === name);
  if (!tool) throw new Error(`no tool ${name}`);
  return tool.call(args, {
    signal,
    runId: "run",
    toolCallId: "call",
    idempotencyKey: "run:call",
    output: async () => undefined,
    openSandbox: async () => {
      throw new ToolFailure("no sandbox");
    },
    now: () => new Date("2026-03-28T12:00:00Z"),
  });
};

const ok = async (name: string, args: unknown): Promise<string> => {
  const outcome = await use(name, args);
  expect(outcome).toMatchObject({ isError: false });
  return outcome.content;
};

const refusal = async (name: string, args: unknown): Promise<string> => {
  const outcome = await use(name, args);
  expect(outcome).toMatchObject({ isError: true, fault: null, effectState: "none" });
  return outcome.content;
};

const sales = 'city,price,note\nBerlin,10,"a, b"\nParis,9,\nBerlin,2.5,"say ""hi"""\n';

test("CSV is filtered, summarised, sorted and cut", async () => {
  expect(await ok("query_csv", { text: sales })).toBe(
    'city,price,note\nBerlin,10,"a, b"\nParis,9,\nBerlin,2.5,"say ""hi"""',
  );
  const where = [{ column: "price", is: "less", value: "10" }];
  expect(await ok("query_csv", { text: sales, where, columns: ["price"], sort_by: "price" })).toBe("price\n2.5\n9");
  const summarise = [
    { column: "price", compute: "sum" },
    { column: "note", compute: "count" },
    { column: "price", compute: "max" },
  ];
  expect(
    await ok("query_csv", { text: sales, group_by: ["city"], summarise, sort_by: "sum_price", descending: true }),
  ).toBe("city,sum_price,count_note,max_price\nBerlin,12.5,2,10\nParis,9,0,9");
  expect(await ok("query_csv", { text: "\uFEFFa;b\n1;2\n3;4", limit: 1, as: "json" })).toBe(
    '[\n  {"a":"1","b":"2"}\n]\n[1 further rows]',
  );
  expect(await ok("query_csv", { text: "__proto__,b\n1,2", columns: ["__proto__"] })).toBe("__proto__\n1");
  expect(await refusal("query_csv", { text: sales, sort_by: "nope" })).toContain(
    'no column "nope". The columns are: city',
  );
  expect(await refusal("query_csv", { text: "" })).toContain("no line with the names");
  expect(await refusal("query_csv", { text: "a,a\n1,2" })).toContain("same name");
  expect(await refusal("query_csv", {})).toContain("either text or path");
  expect(await refusal("query_csv", { text: "a", path: "a.csv" })).toContain("either text or path");
  expect(await refusal("query_csv", { path: "a.csv" })).toBe("no sandbox");
});

test("JSON is queried, checked and compared", async () => {
  const text = '{"a/b":[{"n":1,"m":"x"},{"n":2,"m":"y"}]}';
  expect(await ok("query_json", { text, pointer: "/a~1b/1/m" })).toBe('"y"');
  expect(await ok("query_json", { text, query: '"a/b"[?n > `1`].m' })).toBe('[\n  "y"\n]');
  expect(await refusal("query_json", { text, pointer: "/a~1b/2" })).toContain('"2" is missing');
  expect(await refusal("query_json", { text, pointer: "/constructor" })).toContain("is missing");
  expect(await refusal("query_json", { text, query: "[[[" })).toContain("JMESPath expression failed");
  expect(await refusal("query_json", { text: '{\n "a": 1,\n}', pointer: "" })).toMatch(/no JSON.*line 3, column 1/);
  expect(await ok("check_json", { text: "[1]" })).toBe("It is valid.");
  const schema = { type: "array", items: { type: "string" } };
  const wrong = await use("check_json", { text: "[1]", schema });
  expect(wrong).toMatchObject({ isError: true, fault: null });
  expect(wrong.content).toContain('#/0: Instance type "number" is invalid. Expected "string".');
  expect(await refusal("check_json", { text: "[1]", schema: { $ref: "#/nowhere" } })).toContain(
    "schema cannot be used",
  );
  const sides = { left: { text: '{"a":1,"b":[1],"c":{}}' }, right: { text: '{"c":{},"b":[1,2],"a":"1"}' } };
  expect(await ok("compare_texts", { ...sides, as: "json" })).toBe('~ /a: 1 → "1"\n+ /b/1: 2');
});

test("texts are compared, matched and counted", async () => {
  const diff = await ok("compare_texts", { left: { text: "a\nb\nc\n" }, right: { text: "a\nB\nc\n" } });
  expect(diff).toContain("-b\n+B\n");
  expect(await ok("compare_texts", { left: { text: "a" }, right: { text: "a" } })).toBe("They are the same.");
  const text = "eins: 1\nzwei: 2\n";
  expect(await ok("match_text", { text, pattern: "^(\\w+): (\\d)$", flags: "m", limit: 1 })).toBe(
    '2 matches\n1: "eins: 1" ["eins","1"]',
  );
  expect(await refusal("match_text", { text, pattern: "(" })).toContain("no regular expression");
  expect(await refusal("match_text", { text, pattern: "a", flags: "ii" })).toContain("flags");
  expect(await ok("count_text", { text: "zwei Wörter 🦊\n" })).toBe("characters: 14\nwords: 3\nlines: 1\nbytes: 18");
  expect(await ok("count_text", { text: "" })).toBe("characters: 0\nwords: 0\nlines: 0\nbytes: 0");
});

test("what never ends is ended, and nobody else waits for it", async () => {
  const abort = new AbortController();
  const evil = { text: `${"a".repeat(50)}!`, pattern: "^(a+)+$" };
  let turns = 0;
  const running = use("match_text", evil, abort.signal);
  const deep = { text: "[".repeat(100_000) + "]".repeat(100_000) };
  expect(await refusal("compare_texts", { left: deep, right: deep, as: "json" })).toContain("too deeply");
  await eventually(() => (turns += 1) > 3);
  abort.abort(new Error("stopped"));
  expect(await running).toMatchObject({ interrupted: true, leftBehind: false });
});

test("dates are those of the calendar and the zone", async () => {
  const zone = "Europe/Berlin";
  expect(await ok("dates", {})).toMatch(
    /^2026-03-28T12:00:00\+00:00\[UTC\] \(Saturday, day 87 of the year, ISO week 13\)/,
  );
  expect(await ok("dates", { date: "2026-03-28T02:30", zone, add: "P1D" })).toContain("2026-03-29T03:30:00+02:00");
  expect(await ok("dates", { date: "2026-03-28T02:30", zone, add: "PT24H" })).toContain("2026-03-29T03:30:00+02:00");
  expect(await ok("dates", { date: "2026-01-31", add: "P1M" })).toContain("2026-02-28T00:00:00");
  expect(await ok("dates", { date: "2026-03-29T12:00:00Z", to_zone: "Asia/Tokyo" })).toContain(
    "2026-03-29T21:00:00+09:00",
  );
  expect(await ok("dates", { date: "2026-03-29", until: "2026-03-30", zone })).toContain("hours: PT23H");
  for (const args of [
    { date: "yesterday" },
    { date: "2026-02-30" },
    { zone: "Mars/Olympus" },
    { to_zone: "x" },
    { add: "1 month" },
    { add: "P999999999Y" },
    { add: "P1D", until: "2026-01-01" },
  ]) {
    expect((await refusal("dates", args)).length).toBeGreaterThan(10);
  }
});

test("a plan is whole in each answer", async () => {
  const tasks = [
    { title: "read", state: "done" },
    { title: "write\nwell", state: "in_progress" },
    { title: "send", state: "open" },
  ];
  expect(await ok("task_list", { tasks })).toBe("1 of 3 tasks are finished.\n[x] read\n[~] write well\n[ ] send");
  const two = [...tasks, { title: "also", state: "in_progress" }];
  expect(await refusal("task_list", { tasks: two })).toContain("one task at most");
  expect(await refusal("task_list", { tasks: [] })).toContain("tasks");
});
