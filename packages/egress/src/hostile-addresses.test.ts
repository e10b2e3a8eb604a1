import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { silentLogger } from "@cortex/observability";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { EgressError } from "./egress-error.ts";
import { createGuard, type Guard, type Resolve } from "./guard.ts";
import { type EgressProxy, proxyThrough } from "./proxy.ts";
import { fetchThrough, type SafeFetch } from "./safe-fetch.ts";
import { type HostileAddress, hostileAddresses, noAddresses } from "./testing/hostile-addresses.ts";
import { openGuard, type Sink, startSink } from "./testing/sink.ts";

const log = silentLogger();
const publicAddress = "93.184.216.34";
let sink: Sink;

beforeAll(async () => {
  sink = await startSink();
});
afterAll(() => sink.close());
beforeEach(() => {
  sink.dialled.length = 0;
  sink.requests.length = 0;
});

/** The name service of this entry; every other name leads to a public address. */
const resolverFor =
  ({ url, resolves }: HostileAddress): Resolve =>
  async (name) =>
    resolves !== undefined && URL.canParse(url) && new URL(url).hostname === name ? resolves : [publicAddress];

const fetchWith = (guard: Guard): SafeFetch => fetchThrough({ guard, dial: sink.dial }, { log });

type Outcome = { url: string; code: string; message: string };

/** What became of a request: the code of its refusal, or what it has reached. */
const outcomeOf = async (asking: ReturnType<SafeFetch>, url: string): Promise<Outcome> => {
  try {
    const answer = await asking;
    return { url, code: Buffer.from(await answer.bytes()).toString(), message: "" };
  } catch (error) {
    if (!(error instanceof EgressError)) throw error;
    return { url, code: error.code, message: error.message };
  }
};

const refused = new Set(["invalid_url", "port", "not_public"]);
const inside = /(?<!http:\/\/)\b(?:127\.0\.0\.1(?!\.nip)|169\.254|::1|10\.0\.0|172\.18|fd12)/;

/** Each of them in turn, asked through a guard made for it. */
const askAll = async (
  entries: readonly HostileAddress[],
  guardFor: (resolve: Resolve) => Guard,
  addressOf: (entry: HostileAddress) => string = ({ url }) => url,
): Promise<Outcome[]> => {
  const outcomes: Outcome[] = [];
  for (const entry of entries)
    outcomes.push(await outcomeOf(fetchWith(guardFor(resolverFor(entry)))(addressOf(entry)), entry.url));
  return outcomes;
};

const guarded = (resolve: Resolve) => createGuard({ resolve });

test("there are enough of them", () => {
  expect(hostileAddresses.length).toBeGreaterThanOrEqual(120);
  expect(new Set(hostileAddresses.map(({ url }) => url)).size).toBe(hostileAddresses.length);
});

describe("the client", () => {
  test("reaches none of them, and says nothing of what is behind a name", async () => {
    const outcomes = await askAll(hostileAddresses, guarded);
    expect(outcomes.filter(({ code }) => !refused.has(code))).toEqual([]);
    const ofNames = outcomes.filter((_, at) => hostileAddresses[at]?.resolves !== undefined);
    expect(ofNames.filter(({ code, message }) => code === "not_public" && inside.test(message))).toEqual([]);
    expect(sink.dialled).toEqual([]);
  });

  test("would reach each of them without the guard", async () => {
    const outcomes = await askAll(hostileAddresses, openGuard);
    expect(outcomes.filter(({ code }) => code !== "reached")).toEqual([]);
    expect(sink.requests).toHaveLength(hostileAddresses.length);
  });

  test("is led to none of them by a redirect, and would be without the guard", async () => {
    // "http:127.0.0.1" is a path where an address with the same scheme stands before it.
    const elsewhere = hostileAddresses.filter(
      ({ url }) => new URL(url, "http://start.example.org").href === new URL(url).href,
    );
    expect(elsewhere.length).toBeGreaterThan(hostileAddresses.length - 3);
    const redirect = ({ url }: HostileAddress) => `http://start.example.org/to?${encodeURIComponent(url)}`;
    const outcomes = await askAll(elsewhere, guarded, redirect);
    expect(outcomes.filter(({ code }) => !refused.has(code))).toEqual([]);
    expect(sink.dialled).toEqual(elsewhere.map(() => [publicAddress]));
    const unguarded = await askAll(elsewhere, openGuard, redirect);
    expect(unguarded.filter(({ code }) => code !== "reached")).toEqual([]);
  });

  test("takes nothing that is no web address", async () => {
    const outcomes = await askAll(
      noAddresses.map((url) => ({ url })),
      guarded,
    );
    expect(outcomes.filter(({ code }) => code !== "invalid_url")).toEqual([]);
    expect(sink.dialled).toEqual([]);
  });

  test("connects to the very address that was checked: a second answer of the name service is not asked for", async () => {
    const rebinding = (): Resolve => {
      const answers = [[publicAddress], ["127.0.0.1"]];
      return async () => answers.shift() ?? ["127.0.0.1"];
    };
    await fetchWith(createGuard({ resolve: rebinding() }))("http://rebinding.example.com/");
    expect(sink.dialled).toEqual([[publicAddress]]);
    // Each hop asks anew, and the second answer is what it is judged by.
    const twice = fetchWith(createGuard({ resolve: rebinding() }))("http://rebinding.example.com/to?/again");
    expect(await outcomeOf(twice, "")).toMatchObject({ code: "not_public" });
    expect(sink.dialled).toEqual([[publicAddress], [publicAddress]]);

    // Who checks first and looks up again for the connection is led inside.
    const resolve = rebinding();
    const checked = createGuard({ resolve });
    const naive: Guard = {
      ...checked,
      addressesOf: async (destination) => {
        await checked.addressesOf(destination);
        return resolve(destination.host);
      },
    };
    await fetchWith(naive)("http://rebinding.example.com/");
    expect(sink.dialled.at(-1)).toEqual(["127.0.0.1"]);
  });

  test("answers a missing name and a private one with the same words", async () => {
    const resolve: Resolve = async (name) => {
      if (name === "private.example.com") return ["10.0.0.9"];
      throw Object.assign(new Error("getaddrinfo ENOTFOUND"), { code: "ENOTFOUND" });
    };
    const ask = (url: string) => outcomeOf(fetchWith(guarded(resolve))(url), "");
    const known = await ask("http://private.example.com/");
    const missing = await ask("http://missing.example.com/");
    expect({ ...known, message: known.message.replace("private", "missing") }).toEqual(missing);
  });
});

describe("the proxy", () => {
  const startProxy = async (guard: Guard): Promise<EgressProxy> => {
    const proxy = await proxyThrough({ guard, dial: sink.dial }, { log });
    onTestFinished(() => proxy.close());
    return proxy;
  };

  /** What a browser would send, byte by byte, and everything that comes back until the other side has had enough. */
  const say = async (proxy: EgressProxy, request: string, then = ""): Promise<string> => {
    const socket = connect(Number(new URL(proxy.url).port), "127.0.0.1");
    await once(socket, "connect");
    const credentials = Buffer.from(`${proxy.username}:${proxy.password}`).toString("base64");
    socket.write(`${request}\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n${then}`);
    return text(socket);
  };

  /** As somebody would write it who speaks to the proxy without a parser of addresses between; where that is no line of HTTP, as a parser does. */
  const lineOf = (url: string): string => {
    const [address = ""] = url.split("#");
    return /^http:\/\/[!-[\]-~]+$/.test(address) && !address.startsWith("http:///") ? address : new URL(url).href;
  };
  const authorityOf = (url: string): string => {
    const authority = /^http:\/\/([^/?#]*)/.exec(lineOf(url))?.[1] ?? "";
    return /:\d+$/.test(authority) ? authority : `${authority}:80`;
  };
  const get = (url: string) => `GET ${lineOf(url)} HTTP/1.1\r\nHost: public.example.com\r\nConnection: close`;
  const tunnelTo = (url: string) => `CONNECT ${authorityOf(url)} HTTP/1.1\r\nHost: public.example.com:80`;
  const inner = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const upgradeTo = (url: string) =>
    `GET ${lineOf(url)} HTTP/1.1\r\nHost: public.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket`;

  /** The answers to each way of asking for each of them. */
  const askInAllWays = async (guardFor: (resolve: Resolve) => Guard, ways: readonly ((url: string) => string)[]) => {
    const answers: { request: string; answer: string }[] = [];
    for (const entry of hostileAddresses) {
      const proxy = await proxyThrough({ guard: guardFor(resolverFor(entry)), dial: sink.dial }, { log });
      for (const way of ways) {
        const request = way(entry.url);
        answers.push({ request, answer: await say(proxy, request, request.startsWith("CONNECT") ? inner : "") });
      }
      await proxy.close();
    }
    return answers;
  };

  test("leads to none of them, asked in any way", async () => {
    const answers = await askInAllWays(guarded, [get, tunnelTo, upgradeTo]);
    expect(answers).toHaveLength(hostileAddresses.length * 3);
    expect(answers.filter(({ answer }) => !/^HTTP\/1\.1 (?:400|403) /.test(answer))).toEqual([]);
    expect(sink.dialled).toEqual([]);
  });

  test("would lead to each of them without the guard", async () => {
    const answers = await askInAllWays(openGuard, [get, tunnelTo]);
    expect(answers.filter(({ answer }) => !answer.includes("reached"))).toEqual([]);
  });

  test("takes nothing that is no web address", async () => {
    const proxy = await startProxy(createGuard({ resolve: async () => [publicAddress] }));
    const urls = noAddresses.filter((candidate) => /^[!-~]{1,9000}$/.test(candidate));
    const authorities = ["public.example.com", "public.example.com:80/path", ":80", "a b:80", "x:80#", "x:80?"];
    const requests = [
      ...urls.map((url) => `GET ${url} HTTP/1.1\r\nHost: x\r\nConnection: close`),
      ...authorities.map((authority) => `CONNECT ${authority} HTTP/1.1\r\nHost: x`),
    ];
    const answers: string[] = [];
    for (const request of requests) answers.push(await say(proxy, request));
    expect(answers.filter((answer) => !answer.startsWith("HTTP/1.1 400 "))).toEqual([]);
    expect(sink.dialled).toEqual([]);
  });

  test("connects to the very address that was checked", async () => {
    const answers = [[publicAddress], ["127.0.0.1"]];
    const proxy = await startProxy(createGuard({ resolve: async () => answers.shift() ?? ["127.0.0.1"] }));
    expect(await say(proxy, tunnelTo("http://rebinding.example.com/"), inner)).toContain("reached");
    expect(await say(proxy, tunnelTo("http://rebinding.example.com/"), inner)).toMatch(/^HTTP\/1\.1 403 /);
    expect(sink.dialled).toEqual([[publicAddress]]);
  });
});
