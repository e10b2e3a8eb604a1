import { createSafeFetch } from "@cortex/egress";
import { createLogger } from "@cortex/observability";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { content, json, type PlayedWeb, playWeb } from "../testing/played-web.ts";
import { useTool } from "../testing/use-tool.ts";
import { tool } from "../tools/web-search.ts";
import type { ToolOutcome } from "../tool-context.ts";
import { createBraveSearch } from "./brave.ts";
import { openWeb } from "./open-web.ts";
import type { SearchProvider } from "./search.ts";
import { createTavilySearch } from "./tavily.ts";

let vendor: PlayedWeb;
const logged: string[] = [];
const apiKey = "sk-very-secret-key";

beforeAll(async () => {
  vendor = await playWeb();
});
afterAll(() => vendor.close());
beforeEach(() => {
  vendor.requests.length = 0;
  logged.length = 0;
});

const fetchHere = () => {
  const log = createLogger({ name: "test", level: "trace" }, { write: (line) => void logged.push(line) });
  return createSafeFetch({ allow: [`127.0.0.1:${vendor.port}`], log });
};

const search = async (
  provider: (
    parts: { fetch: ReturnType<typeof fetchHere> },
    options: { apiKey: string; baseUrl: string },
  ) => SearchProvider,
  args: unknown,
): Promise<ToolOutcome> => {
  const fetch = fetchHere();
  const web = openWeb({ fetch, search: provider({ fetch }, { apiKey, baseUrl: vendor.origin }) });
  const outcome = await useTool(tool, args, { web });
  expect(outcome.content + logged.join()).not.toContain("very-secret");
  return outcome;
};

const tavily = (args: unknown) => search(createTavilySearch, args);
const brave = (args: unknown) => search(createBraveSearch, args);

const tavilyAnswer = {
  query: "q",
  answer: null,
  images: [],
  results: [
    { title: "One  \n title", url: "https://one.example/", content: "first\nexcerpt", score: 0.9, raw_content: null },
    { title: "Script", url: "javascript:alert(1)", content: "x", score: 0.8 },
    { title: "", url: "https://two.example/", content: null, score: 0.7, published_date: "2026-11-01" },
    { title: "Three", url: "https://three.example/", content: "z".repeat(5_000), score: 0.6 },
  ],
  response_time: "1.2",
  request_id: "r",
};

test("Tavily is asked in its own way, and its answer becomes a list", async () => {
  vendor.answer(json(200, tavilyAnswer));
  const outcome = await tavily({ query: " what is new? ", max_results: 3, recency: "week", site: "example.com" });
  expect(outcome).toMatchObject({ isError: false, effectState: "none" });
  expect(outcome.content).toMatch(
    /^1\. One title\n {3}https:\/\/one\.example\/\n {3}first excerpt\n\n2\. \(no title\)\n {3}https:\/\/two\.example\/\n {3}2026-11-01\n\n3\. Three\n/,
  );
  expect(outcome.content.length).toBeLessThan(2_000);
  const [request] = vendor.requests;
  expect(request).toMatchObject({ method: "POST", headers: { authorization: `Bearer ${apiKey}` } });
  expect(request?.url.pathname).toBe("/search");
  expect(JSON.parse(request?.body ?? "")).toEqual({
    query: "what is new?",
    max_results: 3,
    time_range: "week",
    include_domains: ["example.com"],
  });
});

test("Brave is asked in its own way, and its answer becomes a list", async () => {
  vendor.answer(
    json(200, {
      type: "search",
      query: { original: "q" },
      web: {
        type: "search",
        results: [
          { title: "One", url: "https://one.example/", description: "about it", page_age: "2026-11-01T00:00:00" },
        ],
      },
    }),
  );
  const outcome = await brave({ query: "a & b", recency: "day", site: "example.com" });
  expect(outcome.content).toBe("1. One\n   https://one.example/\n   2026-11-01T00:00:00\n   about it");
  const [request] = vendor.requests;
  expect(request).toMatchObject({ method: "GET", headers: { "x-subscription-token": apiKey } });
  expect(request?.url.pathname).toBe("/res/v1/web/search");
  expect(Object.fromEntries(request?.url.searchParams ?? [])).toEqual({
    q: "a & b site:example.com",
    count: "8",
    result_filter: "web",
    text_decorations: "false",
    freshness: "pd",
  });
});

test("nothing found is an answer", async () => {
  vendor.answer(json(200, { ...tavilyAnswer, results: [] }));
  expect((await tavily({ query: "q" })).content).toContain("Nothing was found");
  vendor.answer(json(200, { type: "search", query: {} }));
  expect((await brave({ query: "q" })).content).toContain("Nothing was found");
});

describe("trouble of a vendor is a result, and says what would help", () => {
  const cases: readonly [string, () => Promise<ToolOutcome>, RegExp, number, ...Parameters<PlayedWeb["answer"]>][] = [
    [
      "a wrong key",
      () => tavily({ query: "q" }),
      /TAVILY_API_KEY/,
      1,
      json(401, { detail: { error: `bad key ${apiKey}` } }),
    ],
    [
      "a wrong key, as Brave says it",
      () => brave({ query: "q" }),
      /BRAVE_API_KEY/,
      1,
      json(422, { error: { code: "SUBSCRIPTION_TOKEN_INVALID" } }),
    ],
    ["a plan used up", () => tavily({ query: "q" }), /used up/, 1, json(432, {})],
    ["a limit for long", () => tavily({ query: "q" }), /again in 3600 s/, 1, json(429, {}, { "retry-after": "3600" })],
    [
      "a limit of the month",
      () => brave({ query: "q" }),
      /again in 9 s/,
      1,
      json(429, {}, { "x-ratelimit-reset": "9, 1419704" }),
    ],
    [
      "a refused query",
      () => tavily({ query: "q" }),
      /other words/,
      1,
      json(400, { detail: { error: "Query is too long." } }),
    ],
    ["garbage", () => brave({ query: "q" }), /no list of results/, 1, content("text/html", "<html>")],
    ["JSON of something else", () => tavily({ query: "q" }), /no list of results/, 1, json(200, { results: { a: 1 } })],
    [
      "a redirect",
      () => brave({ query: "q" }),
      /cannot be reached/,
      1,
      (response) => void response.writeHead(302, { location: "/elsewhere" }).end(),
    ],
    [
      "too much",
      () => tavily({ query: "q" }),
      /cannot be reached/,
      1,
      content("application/json", "x".repeat(3_000_000)),
    ],
    ["broken for long", () => tavily({ query: "q" }), /cannot be reached/, 3, json(503, {}, { "retry-after": "0" })],
    [
      "connections that are cut",
      () => brave({ query: "q" }),
      /cannot be reached/,
      3,
      (response) => void response.destroy(),
    ],
  ];

  test.each(cases)("%s", async (_, ask, sentence, asked, ...answers) => {
    vendor.answer(...answers);
    const outcome = await ask();
    expect(outcome).toMatchObject({ isError: true, fault: null });
    expect(outcome.content).toMatch(sentence);
    expect(vendor.requests).toHaveLength(asked);
  });

  test("a short limit and a passing failure are waited for", async () => {
    vendor.answer(
      json(429, {}, { "retry-after": "0" }),
      json(502, {}, { "retry-after": "0" }),
      json(200, tavilyAnswer),
    );
    expect(await tavily({ query: "q" })).toMatchObject({ isError: false });
    expect(vendor.requests).toHaveLength(3);
  });

  test("one that never answers is left when the run ends", async () => {
    const controller = new AbortController();
    vendor.answer(() => controller.abort("stopped"));
    const fetch = fetchHere();
    const web = openWeb({ fetch, search: createTavilySearch({ fetch }, { apiKey, baseUrl: vendor.origin }) });
    const outcome = await useTool(tool, { query: "q" }, { web, signal: controller.signal });
    expect(outcome).toMatchObject({ isError: true, interrupted: true, leftBehind: false });
  });
});

test("without a provider the answer names the settings", async () => {
  for (const context of [{}, { web: openWeb({ fetch: fetchHere(), search: null }) }]) {
    const outcome = await useTool(tool, { query: "q" }, context);
    expect(outcome).toMatchObject({ isError: true });
    expect(outcome.content).toMatch(/TAVILY_API_KEY or BRAVE_API_KEY/);
  }
});

test("arguments that no vendor takes are refused before anybody is asked", async () => {
  for (const args of [
    {},
    { query: " " },
    { query: "x".repeat(401) },
    { query: "q", max_results: 0 },
    { query: "q", max_results: 21 },
    { query: "q", site: "https://example.com/" },
    { query: "q", site: "a b" },
    { query: "q", site: `${"a".repeat(300)}.com` },
  ]) {
    expect(tool.check(args)).toContain("The arguments do not fit");
  }
  expect(vendor.requests).toEqual([]);
});
