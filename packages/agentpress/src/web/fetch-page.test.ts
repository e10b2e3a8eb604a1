import { createSafeFetch } from "@cortex/egress";
import { silentLogger } from "@cortex/observability";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { content, type PlayedWeb, playWeb } from "../testing/played-web.ts";
import { useTool } from "../testing/use-tool.ts";
import { tool } from "../tools/fetch-page.ts";
import type { ToolOutcome } from "../tool-context.ts";
import { openWeb } from "./open-web.ts";
import { createPageReader } from "./page-reader.ts";
import type { Web } from "./web.ts";

let site: PlayedWeb;
let web: Web;

beforeAll(async () => {
  site = await playWeb();
  web = openWeb({ fetch: createSafeFetch({ allow: [`127.0.0.1:${site.port}`], log: silentLogger() }), search: null });
});
afterAll(() => site.close());
beforeEach(() => {
  site.requests.length = 0;
});

const read = (args: object = {}): Promise<ToolOutcome> =>
  useTool(tool, { url: `${site.origin}/a/b`, ...args }, { web });

const refused = async (args?: object): Promise<string> => {
  const outcome = await read(args);
  expect(outcome.isError).toBe(true);
  return outcome.content;
};

const sentence = "Cortex reads a page as a person would, and leaves out what is around it. ";
const page = `<!doctype html><html><head><title>A &amp; B</title><script>steal()</script></head><body>
<nav><a href="/">Home</a></nav><main><h1>About</h1><p>${sentence.repeat(10)}<a href="../c?d=(1)">a <b>link</b></a>
<a href="javascript:steal()">no link</a> <img src="https://tracker.example/x.png" alt="a chart"></p>
<table><tr><th>Name</th><th>Price</th></tr><tr><td>x|y</td><td>2<br>EUR</td></tr></table>
<pre><code>let a = 1;
  a &lt; 2</code></pre><ol><li>one<ul><li>inner</li></ul></li><li>two</li></ol><p>${sentence.repeat(10)}</p></main></body></html>`;

test("a page becomes markdown with absolute links, without what surrounds it", async () => {
  site.answer(content("text/html; charset=utf-8", page));
  const { content: text, isError } = await read();
  expect(isError).toBe(false);
  expect(text).toContain(`Address: ${site.origin}/a/b\nTitle: A & B\n\n`);
  expect(text).toContain(`[a **link**](${site.origin}/c?d=%281%29)`);
  expect(text).toContain("| Name | Price |\n| --- | --- |\n| x\\|y | 2 EUR |");
  expect(text).toContain("```\nlet a = 1;\n  a < 2\n```");
  expect(text).toContain("1. one\n   - inner\n2. two");
  expect(text).toContain("[image: a chart]");
  expect(text).not.toMatch(/steal|tracker|Home/);
});

test("other text is given as it is; the rest is refused with its name", async () => {
  site.answer(content("application/json", '{"a": 1}'));
  expect((await read()).content).toContain('\n\n{"a": 1}');
  site.answer(content("text/plain; charset=iso-8859-1", Buffer.from("caf\u00e9", "latin1")));
  expect((await read()).content).toContain("café");
  site.answer(content("text/html", Buffer.from('<meta charset="windows-1251"><p>\xcf\xf0\xe8\xe2\xe5\xf2', "latin1")));
  expect((await read()).content).toContain("Привет");
  site.answer(content("", "<html><p>no type</p>"));
  expect((await read()).content).toMatch(/\n\nno type$/);
  site.answer(content("text/html; charset=nonsense", "<p>still read"));
  expect((await read()).content).toContain("still read");
  site.answer(content("application/pdf", "%PDF-1.7 ..."));
  expect(await refused()).toContain("is a PDF.");
  site.answer(content("text/html", Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0])));
  expect(await read()).toMatchObject({ isError: true });
  site.answer(content("image/png", "x"));
  expect(await refused()).toContain("is image/png.");
  site.answer(content("text/html", ""));
  expect((await read()).content).toContain("no text");
});

test("a long page comes in parts that make the whole", async () => {
  const whole = Array.from({ length: 8_000 }, (_, n) => `line ${n} 😀`).join("\n");
  site.answer(content("text/plain", whole));
  let found = "";
  for (let start: number | null = 0; start !== null;) {
    const { content: text } = await read({ start });
    const [, body = "", next] = /\n\n([\s\S]*?)(?:\n\n\[There is more,.* start (\d+)\.\])?$/.exec(text) ?? [];
    found += body;
    start = next === undefined ? null : Number(next);
  }
  expect(found).toBe(whole);
  expect(await refused({ start: 10_000_000 })).toContain("only");
});

test("a refusal of the site is an error with what it says", async () => {
  site.answer(content("text/html", "<title>Not here</title><p>No such page", 404));
  const outcome = await read();
  expect(outcome).toMatchObject({ isError: true });
  expect(outcome.content).toMatch(/Status: 404[\s\S]*No such page/);
});

test("an address inside is a sentence, and nobody is asked", async () => {
  for (const url of [
    "http://169.254.169.254/",
    `http://127.0.0.1:${site.port + 1}/`,
    "file:///etc/passwd",
    "nonsense",
  ]) {
    const outcome = await read({ url });
    expect(outcome).toMatchObject({ isError: true, fault: null });
  }
  expect(site.requests).toEqual([]);
  expect(await useTool(tool, { url: site.origin })).toMatchObject({ isError: true });
});

test("a hostile page ends its thread and holds nobody up", async () => {
  const reader = createPageReader({ maxThreads: 1, maxMs: 1_500 });
  const { signal } = new AbortController();
  const url = "https://example.com/";
  const outcomeOf = (reading: Promise<unknown>): Promise<unknown> => reading.catch((error: unknown) => error);
  // Longer than any patience: a parser that is quadratic in the depth.
  const hostile = outcomeOf(reader({ html: "<ul><li>".repeat(200_000), url }, signal));
  // Queued behind it, and given up while it waits.
  const leaving = new AbortController();
  const left = outcomeOf(reader({ html: "<p>never", url }, leaving.signal));
  leaving.abort("left");
  expect(await left).toBe("left");
  let turns = 0;
  let settled = false;
  const end = hostile.then((outcome) => {
    settled = true;
    return outcome;
  });
  while (!settled) {
    turns += 1;
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
  expect(String(await end)).toContain("too complicated");
  // The event loop went on turning meanwhile.
  expect(turns).toBeGreaterThan(50);
  // The thread's place is free again. With patience: the machine may be busy.
  const calm = createPageReader({ maxThreads: 1 });
  expect(await calm({ html: "<title>t</title><p>fine", url }, signal)).toEqual({ title: "t", markdown: "fine" });
});
