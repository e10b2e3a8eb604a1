import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { text } from "node:stream/consumers";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { createLogger, silentLogger } from "@cortex/observability";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import type { Dial } from "./connect.ts";
import { EgressError } from "./egress-error.ts";
import { createGuard } from "./guard.ts";
import { createSafeFetch, fetchThrough, type SafeFetch, type SafeRequest } from "./safe-fetch.ts";
import { untrusted } from "./testing/certificate.ts";

type Asked = { method: string; path: string; headers: IncomingMessage["headers"]; body: string };

let server: Server;
let port: number;
let origin: string;
let asked: Asked[] = [];
let answer: (response: ServerResponse, request: IncomingMessage) => void = () => undefined;
let safeFetch: SafeFetch;

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const body = await text(request);
    asked.push({ method: request.method ?? "", path: request.url ?? "", headers: request.headers, body });
    answer(response, request);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
  origin = `http://127.0.0.1:${port}`;
  safeFetch = createSafeFetch({ allow: [`127.0.0.1:${port}`], log: silentLogger() });
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  asked = [];
});

const connections = (): Promise<number> =>
  new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });

const refusal = async (path: string, request?: SafeRequest, fetch = safeFetch): Promise<EgressError> => {
  const outcome: unknown = await fetch(path.startsWith("http") ? path : origin + path, request)
    .then((response) => response.bytes())
    .catch((error: unknown) => error);
  if (!(outcome instanceof EgressError)) throw new Error(`no refusal: ${String(outcome)}`);
  return outcome;
};

const body = async (path: string, request?: SafeRequest): Promise<string> =>
  Buffer.from(await (await safeFetch(origin + path, request)).bytes()).toString();

/** Every connection leads to the server of this test, whatever its address is meant to be. */
const here: Dial = async () => {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  return socket;
};

test("only what is listed is exempt, by name and port", async () => {
  answer = (response) => response.end("here");
  expect(await body("/")).toBe("here");
  const log = silentLogger();
  const others = [
    createSafeFetch({ log }),
    createSafeFetch({ log, ports: [port] }),
    createSafeFetch({ allow: [`127.0.0.1:${port + 1}`, `localhost:${port}`], log }),
  ];
  for (const fetch of others) expect(["port", "not_public"]).toContain((await refusal("/", {}, fetch)).code);
  expect(asked).toHaveLength(1);
  for (const entry of ["127.0.0.1", "http://127.0.0.1:1", "a:b", "a:1/path", "u@a:1", "", ":80"])
    expect(() => createSafeFetch({ allow: [entry], log })).toThrow(TypeError);
});

test("a request says what it was given, and not what belongs to the connection", async () => {
  answer = (response) => response.writeHead(418, { "x-answer": "yes" }).end("short and stout");
  const headers = { Host: "inside.example", "X-Key": "k", Connection: "upgrade", "Proxy-Authorization": "p" };
  const response = await safeFetch(`${origin}/a?b=c#d`, { method: "POST", headers, body: "hello" });
  expect(response).toMatchObject({ status: 418, url: `${origin}/a?b=c#d` });
  expect(response.headers.get("x-answer")).toBe("yes");
  expect(Buffer.from(await response.bytes()).toString()).toBe("short and stout");
  expect(asked[0]).toMatchObject({ method: "POST", path: "/a?b=c", body: "hello" });
  expect(asked[0]?.headers).toMatchObject({ host: `127.0.0.1:${port}`, "x-key": "k", "user-agent": "Cortex" });
  expect(asked[0]?.headers).not.toHaveProperty("proxy-authorization");
  await expect.poll(connections).toBe(0);
});

describe("a redirect", () => {
  const secrets = { authorization: "a", cookie: "c", "x-api-key": "k", accept: "text/html" };
  const redirectTo = (location: string, status = 302): void => {
    answer = (response, request) => {
      if (request.url === "/end") response.end("end");
      else response.writeHead(status, { location }).end();
    };
  };

  test("keeps the headers on the same origin, and takes only plain ones to another", async () => {
    redirectTo("/end");
    expect(await body("/", { headers: secrets })).toBe("end");
    expect(asked[1]?.headers).toMatchObject(secrets);
    redirectTo("http://other.example.com/end");
    const guard = createGuard({ resolve: async () => ["93.184.216.34"] });
    const anywhere = fetchThrough({ guard, dial: here }, { log: silentLogger() });
    const response = await anywhere("http://one.example.com/", { headers: secrets });
    expect(response.url).toBe("http://other.example.com/end");
    await response.body.cancel();
    const { authorization, cookie, "x-api-key": key, accept, host } = asked[3]?.headers ?? {};
    expect({ authorization, cookie, key, accept, host }).toEqual({ accept: "text/html", host: "other.example.com" });
  });

  test("repeats a body only where it must", async () => {
    const request: SafeRequest = { method: "POST", body: "b", headers: { "content-type": "text/plain" } };
    for (const status of [301, 302, 303]) {
      redirectTo("/end", status);
      await body("/", request);
    }
    for (const status of [307, 308]) {
      redirectTo("/end", status);
      await body("/", request);
    }
    expect(asked.filter(({ path }) => path === "/end").map((one) => one.method + one.body)).toEqual([
      "GET",
      "GET",
      "GET",
      "POSTb",
      "POSTb",
    ]);
  });

  test("is followed three times, and not at all if nobody wants it", async () => {
    redirectTo("/again");
    expect((await refusal("/")).code).toBe("too_many_redirects");
    expect(asked).toHaveLength(4);
    expect((await refusal("/", { limits: { maxRedirects: 0 } })).code).toBe("too_many_redirects");
    expect(asked).toHaveLength(5);
    await expect.poll(connections).toBe(0);
  });

  test("without a place to go is an answer; to nowhere it is a refusal", async () => {
    answer = (response) => response.writeHead(302).end("stay");
    expect(await body("/")).toBe("stay");
    redirectTo("ftp://example.com/");
    expect((await refusal("/")).code).toBe("invalid_url");
    redirectTo("http://");
    expect((await refusal("/")).code).toBe("invalid_url");
  });
});

describe("a body", () => {
  const megabyte = Buffer.alloc(1024 * 1024, "a");

  test("is decompressed", async () => {
    const packed = {
      gzip: gzipSync("text"),
      deflate: deflateSync("text"),
      br: brotliCompressSync("text"),
      zstd: zstdCompressSync("text"),
    };
    for (const [encoding, bytes] of Object.entries(packed)) {
      answer = (response) => response.writeHead(200, { "content-encoding": encoding }).end(bytes);
      expect(await body("/")).toBe("text");
    }
  });

  test("is read up to its limit, said beforehand or not", async () => {
    answer = (response) => response.end(megabyte);
    expect((await body("/")).length).toBe(megabyte.length);
    expect((await refusal("/", { limits: { maxBytes: 1_000_000 } })).code).toBe("too_large");
    answer = (response) => {
      for (let part = 0; part < 6; part += 1) response.write(megabyte);
      response.end();
    };
    expect(await refusal("/")).toMatchObject({ code: "too_large", retryable: false });
    await expect.poll(connections).toBe(0);
  });

  test("that expands beyond reason is given up on the way", async () => {
    const bomb = gzipSync(Buffer.alloc(4 * 1024 * 1024));
    answer = (response) => response.writeHead(200, { "content-encoding": "gzip" }).end(bomb);
    expect((await refusal("/")).code).toBe("bad_response");
    expect((await refusal("/", { limits: { maxRatio: 1_000_000, maxBytes: 1_000_000 } })).code).toBe("too_large");
    await expect.poll(connections).toBe(0);
  });

  test("that is no such compression, an unknown one or two at once is refused", async () => {
    for (const encoding of ["gzip", "compress", "gzip, br", "constructor"]) {
      answer = (response) => response.writeHead(200, { "content-encoding": encoding }).end("plain text");
      expect((await refusal("/")).code).toBe("bad_response");
    }
  });

  test("that breaks off is no success", async () => {
    answer = (response) => {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => response.destroy());
    };
    expect(await refusal("/")).toMatchObject({ code: "unreachable", retryable: true });
  });

  test("of nothing is empty, whatever its headers say", async () => {
    answer = (response) => response.writeHead(204, { "content-encoding": "gzip" }).end();
    expect(await body("/")).toBe("");
    answer = (response) => response.writeHead(200, { "content-length": "9000000" }).end();
    expect(await body("/", { method: "HEAD" })).toBe("");
  });

  test("that nobody wants ends its connection", async () => {
    answer = (response) => void response.write("begun");
    const response = await safeFetch(origin);
    await response.body.cancel();
    await expect.poll(connections).toBe(0);
  });
});

test("an answer that does not come, or never ends, is left after its time", async () => {
  for (const hang of [() => undefined, (response: ServerResponse) => void response.write("begun")]) {
    answer = hang;
    expect(await refusal("/", { limits: { totalMs: 200 } })).toMatchObject({ code: "timeout", retryable: true });
  }
  const nowhere: Dial = (_, __, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error("given up")));
    });
  const guard = createGuard({ resolve: async () => ["93.184.216.34"] });
  const limits = { connectMs: 100 };
  const stuck = fetchThrough({ guard, dial: nowhere }, { log: silentLogger(), limits });
  expect((await refusal("http://example.com/", {}, stuck)).code).toBe("timeout");
  const unnamed = createGuard({ resolve: () => Promise.withResolvers<readonly string[]>().promise });
  const lost = fetchThrough({ guard: unnamed, dial: here }, { log: silentLogger(), limits });
  expect((await refusal("http://example.com/", {}, lost)).code).toBe("timeout");
  await expect.poll(connections).toBe(0);
});

test("whoever asks may leave at any time, and gets the reason back", async () => {
  const early = new AbortController();
  early.abort("early");
  await expect(safeFetch(origin, { signal: early.signal })).rejects.toBe("early");
  const waiting = new AbortController();
  answer = () => waiting.abort("waiting");
  await expect(safeFetch(origin, { signal: waiting.signal })).rejects.toBe("waiting");
  const reading = new AbortController();
  answer = (response) => void response.write("begun");
  const response = await safeFetch(origin, { signal: reading.signal });
  reading.abort("reading");
  await expect(response.bytes()).rejects.toBe("reading");
  await expect.poll(connections).toBe(0);
});

test("a server that is not there, or speaks something else, is a sentence", async () => {
  const closed = createSafeFetch({ allow: ["127.0.0.1:1"], log: silentLogger() });
  expect((await refusal("http://127.0.0.1:1/", {}, closed)).code).toBe("unreachable");
  answer = (response) => response.socket?.end("220 smtp.example.com ready\r\n");
  expect((await refusal("/")).code).toBe("bad_response");
  answer = (response) => response.socket?.end(`HTTP/1.1 200 OK\r\nx: ${"y".repeat(100_000)}\r\n\r\n`);
  expect((await refusal("/")).code).toBe("bad_response");
});

test("a certificate counts by the name that was asked for", async () => {
  const secure = createSecureServer(untrusted, (_, response) => response.end("secret"));
  secure.listen(0, "127.0.0.1");
  await once(secure, "listening");
  onTestFinished(() => {
    secure.closeAllConnections();
    secure.close();
  });
  const address = secure.address() as AddressInfo;
  const fetch = createSafeFetch({
    allow: [`secure.example.com:${address.port}`],
    resolve: async () => ["127.0.0.1"],
    log: silentLogger(),
  });
  const error = await refusal(`https://secure.example.com:${address.port}/`, {}, fetch);
  expect(error).toMatchObject({ code: "tls", retryable: false });
});

test("what is logged names the host and not the address, which may hold a key", async () => {
  const lines: string[] = [];
  const log = createLogger({ name: "test", level: "trace" }, { write: (line) => void lines.push(line) });
  const fetch = createSafeFetch({ log, resolve: async () => ["10.0.0.1"] });
  await refusal("http://private.example.com/path?key=secret", { headers: { authorization: "secret" } }, fetch);
  expect(lines.join()).toMatch(/private\.example\.com/);
  expect(lines.join()).not.toMatch(/secret/);
});
