import { connect } from "node:net";
import { createLogger } from "@cortex/observability";
import { eventually } from "@cortex/testing";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type ApiUnderTest, type Person, startApiUnderTest } from "./testing/api-under-test.ts";

const site = "https://app.example.com";

let api: ApiUnderTest;
let alice: Person;
beforeAll(async () => {
  api = await startApiUnderTest({ env: { WEB_ORIGINS: `${site}, http://localhost:3000` } });
  alice = await api.person();
});
afterAll(() => api.close());

const headersOf = async (path: string, headers: Record<string, string> = {}, method = "GET") => {
  const response = await fetch(`${api.url}${path}`, { method, headers, redirect: "manual" });
  await response.body?.cancel();
  return { status: response.status, headers: response.headers };
};

test("browsers of the listed origins may call, others are told nothing", async () => {
  const asked = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,idempotency-key",
  };
  const allowed = await headersOf("/api/threads", { origin: site, ...asked }, "OPTIONS");
  expect([allowed.status, allowed.headers.get("access-control-allow-origin")]).toEqual([204, site]);
  expect(allowed.headers.get("access-control-allow-headers")).toContain("idempotency-key");
  expect(allowed.headers.get("access-control-allow-credentials")).toBeNull();
  const simple = await headersOf("/api/me", { origin: site, authorization: `Bearer ${alice.token}` });
  expect(simple.headers.get("access-control-allow-origin")).toBe(site);
  expect(simple.headers.get("access-control-expose-headers")).toContain("x-request-id");
  // A page must be able to read why it was refused.
  const refused = await headersOf("/api/me", { origin: site });
  expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([401, site]);
  for (const origin of ["https://evil.example", `${site}.evil.example`, "null"]) {
    const foreign = await headersOf("/api/me", { origin, authorization: `Bearer ${alice.token}` });
    expect(foreign.headers.get("access-control-allow-origin")).toBeNull();
    expect(
      (await headersOf("/api/threads", { origin, ...asked }, "OPTIONS")).headers.get("access-control-allow-origin"),
    ).toBeNull();
  }
});

test("every answer carries a request id: the client's own if it is safe", async () => {
  const own = "trace-1.2:3_4";
  expect((await headersOf("/health", { "x-request-id": own })).headers.get("x-request-id")).toBe(own);
  for (const unsafe of ["a b", "x".repeat(129), "a;b", "<x>"]) {
    const { headers } = await headersOf("/nothing", { "x-request-id": unsafe });
    expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  }
});

test("every answer tells a browser to trust nothing in it", async () => {
  for (const path of ["/health", "/api/me", "/nothing", "/docs"]) {
    const { headers } = await headersOf(path);
    expect(Object.fromEntries(headers)).toMatchObject({
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "content-security-policy": expect.stringContaining("frame-ancestors 'none'") as unknown,
    });
    expect(headers.get("x-powered-by")).toBeNull();
  }
});

test("the page of documentation calls nobody but us", async () => {
  const page = await (await fetch(`${api.url}/docs`)).text();
  const addresses = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address ?? "");
  expect(addresses.filter((address) => !address.startsWith("/docs/") && address !== "data:,")).toEqual([]);
  for (const address of addresses.filter((each) => each.startsWith("/"))) {
    expect([address, (await headersOf(address)).status]).toEqual([address, 200]);
  }
  expect((await headersOf("/docs")).headers.get("content-security-policy")).toContain("script-src 'self'");
  expect((await headersOf("/docs/swagger-ui.css")).headers.get("cache-control")).toContain("max-age");
  expect((await headersOf("/docs/../package.json")).status).toBe(404);
  expect((await headersOf("/")).headers.get("location")).toBe("/docs");
});

test("a request log line has the route's pattern, and no query", async () => {
  const lines: string[] = [];
  const log = createLogger({ name: "api", level: "info" }, { write: (line) => void lines.push(line) });
  const logging = await startApiUnderTest({ log });
  onTestFinished(async () => void (await logging.close()));
  const person = await logging.person();
  const threadId = crypto.randomUUID();
  await logging.call("GET", `/threads/${threadId}?ticket=secret-ticket`, {
    as: person,
    headers: { "x-request-id": "r-1" },
  });
  await logging.call("GET", `/nothing/${threadId}`);
  const requests = lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((line) => line["msg"] === "request");
  expect(requests).toMatchObject([
    {
      method: "GET",
      route: "/api/threads/:thread_id",
      status: 422,
      request_id: "r-1",
      user_id: person.userId,
      ms: expect.any(Number) as unknown,
    },
    { method: "GET", route: "(none)", status: 404 },
  ]);
  expect(lines.join("")).not.toMatch(/secret-ticket|Bearer|eyJ/);
  expect(lines.join("")).not.toContain(threadId);
});

test("an unexpected failure says nothing to the caller and everything to the log, once", async () => {
  const lines: string[] = [];
  const log = createLogger({ name: "api", level: "info" }, { write: (line) => void lines.push(line) });
  const broken = await startApiUnderTest({ log });
  onTestFinished(async () => void (await broken.close()));
  const person = await broken.person();
  await broken.database.owner.query("alter table cortex.projects rename to gone");
  const answer = await broken.call("GET", "/projects", { as: person });
  expect([answer.status, answer.body]).toMatchObject([
    500,
    { code: "internal", detail: "Something went wrong on our side." },
  ]);
  expect(lines.filter((line) => line.includes('"level":50'))).toHaveLength(1);
});

test("a database that is away is 503 with when to try again, and readiness says which it is", async () => {
  const alone = await startApiUnderTest({ env: { DATABASE_URL: "postgres://cortex_api@127.0.0.1:1/x" } });
  onTestFinished(async () => void (await alone.close()));
  const person = await alone.person();
  const answer = await alone.call("GET", "/projects", { as: person });
  expect([answer.status, answer.body, answer.headers.get("retry-after")]).toMatchObject([
    503,
    { code: "unavailable", retryable: true },
    "1",
  ]);
  const ready = await alone.call("GET", "/ready");
  expect([ready.status, ready.body]).toMatchObject([
    503,
    {
      status: "not_ready",
      dependencies: { postgres: { status: "down" }, redis: { status: "up" }, jwks: { status: "up" } },
      durability: null,
    },
  ]);
  expect((await alone.call("GET", "/health")).status).toBe(200);
});

test("what is no request at all is answered, and the next one served", async () => {
  const { port } = new URL(api.url);
  const raw = (text: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect(Number(port), "127.0.0.1");
      let answer = "";
      socket.on("data", (piece: Buffer) => (answer += piece.toString()));
      socket.on("close", () => resolve(answer));
      socket.on("error", () => resolve(answer));
      socket.end(text);
    });
  const statuses = await Promise.all(
    [
      "GARBAGE\r\n\r\n",
      "GET /api/me HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n",
      "GET /api\\me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      `GET /api/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${"x".repeat(1_000_000)}\r\nConnection: close\r\n\r\n`,
      "POST /api/projects HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ].map(async (text) => Number(/^HTTP\/1\.1 (\d+)/.exec(await raw(text))?.[1] ?? 0)),
  );
  for (const status of statuses)
    expect([status, status === 0 || (status >= 400 && status < 500)]).toEqual([status, true]);
  expect((await headersOf("/health")).status).toBe(200);
});

test("a client that goes in the middle of its body leaves nothing behind, also no failure in the log", async () => {
  const lines: string[] = [];
  const log = createLogger({ name: "api", level: "info" }, { write: (line) => void lines.push(line) });
  const logging = await startApiUnderTest({ log });
  onTestFinished(async () => void (await logging.close()));
  const person = await logging.person();
  const socket = connect(Number(new URL(logging.url).port), "127.0.0.1");
  let answer = "";
  socket.on("data", (piece: Buffer) => (answer += piece.toString()));
  // Two requests in one piece: when the first is answered, the second has arrived as far as it goes.
  const head = `Host: x\r\nAuthorization: Bearer ${person.token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n`;
  socket.write(`GET /health HTTP/1.1\r\nHost: x\r\n\r\nPOST /api/projects HTTP/1.1\r\n${head}{"name":"half`);
  await eventually(() => answer.includes('"ok"'));
  socket.destroy();
  await eventually(() => lines.some((line) => line.includes('"route":"/api/projects"')));
  expect(lines.filter((line) => line.includes('"level":50'))).toEqual([]);
  const { rowCount } = await logging.database.owner.query("select 1 from cortex.projects where name like 'half%'");
  expect(rowCount).toBe(0);
});

test("connections that never asked anything do not hold up the end", async () => {
  const stopping = await startApiUnderTest();
  const person = await stopping.person();
  const { port } = new URL(stopping.url);
  const silent = connect(Number(port), "127.0.0.1");
  silent.on("error", () => {}); // reset at the end: meant so
  await new Promise<void>((resolve) => {
    silent.once("connect", resolve);
  });
  await stopping.call("GET", "/me", { as: person });
  const before = performance.now();
  expect(await stopping.close()).toBe(true);
  // Node itself would wait a minute for their first request.
  expect(performance.now() - before).toBeLessThan(8_000);
});
