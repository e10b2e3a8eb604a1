import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import { eventually } from "@cortex/testing";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { bodyOf, issuer, type PreviewWorld, startPreviewWorld } from "./testing/preview-world.ts";

let world: PreviewWorld;
/** What the program in the sandbox has seen. */
let seen: { url: string; rawHeaders: string[]; headers: IncomingMessage["headers"] }[] = [];
let open = 0;
const sockets: Socket[] = [];
let arrived = 0;

beforeAll(async () => {
  world = await startPreviewWorld((request, response) => {
    seen.push({ url: request.url ?? "", rawHeaders: request.rawHeaders, headers: request.headers });
    const { url } = request;
    if (url === "/events") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: one\n\n");
      response.once("close", () => (open -= 1));
      open += 1;
    } else if (url === "/hash") {
      const hash = createHash("sha256");
      request.on("data", (chunk: Buffer) => {
        arrived += chunk.length;
        hash.update(chunk);
      });
      request.on("end", () => response.end(hash.digest("hex")));
    } else if (url === "/cookies") {
      response.setHeader("set-cookie", ["a=1; Domain=.example.com; Path=/", "b=2"]);
      response.setHeader("referrer-policy", "unsafe-url");
      response.end();
    } else if (url === "/endless") {
      const more = (): void => {
        while (response.write(Buffer.alloc(65_536)));
      };
      response.on("drain", more);
      more();
    } else if (url === "/breaks") {
      response.writeHead(200, { "content-length": "100" });
      response.write("half", () => response.destroy());
    } else response.end(`hello from ${url ?? ""}`);
  });
  world.app.on("upgrade", (request: IncomingMessage, socket: Socket) => {
    if (request.url === "/no") {
      socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
      return;
    }
    sockets.push(socket);
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst");
    socket.pipe(socket);
  });
});
afterAll(() => world.close());
beforeEach(() => {
  seen = [];
});

test("a page, and nothing of the visitor's that is ours", async () => {
  const jwt = (claims: object) => `Bearer e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;
  const answer = await world.visit({
    path: "/deep/path?q=1",
    headers: {
      authorization: jwt({ iss: issuer }),
      "x-api-key": "ours",
      "x-account-id": "ours",
      "x-forwarded-for": "6.6.6.6",
      forwarded: "for=6.6.6.6",
      "x-cortex-preview": "forged",
      connection: "close, x-listed",
      "x-listed": "of this connection",
      cookie: "theirs=1",
    },
  });
  expect(answer).toMatchObject({ status: 200, text: "hello from /deep/path?q=1" });
  expect(answer.headers).toMatchObject({ "referrer-policy": "no-referrer", "x-robots-tag": "noindex" });
  expect(seen[0]?.headers).toEqual({
    host: world.hostOf(),
    cookie: "theirs=1",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-host": world.hostOf(),
    "x-forwarded-proto": "https",
    connection: "close",
  });
  const other = jwt({ iss: "https://their.own" });
  await world.visit({ headers: { authorization: other } });
  expect(seen[1]?.headers).toMatchObject({ authorization: other });
});

test("cookies stay with their preview, and our policy is the one that counts", async () => {
  const { headers } = await world.visit({ path: "/cookies" });
  expect(headers["set-cookie"]).toEqual(["a=1; Path=/", "b=2"]);
  expect(headers["referrer-policy"]).toBe("no-referrer");
});

test("5 MB are handed on while they come", async () => {
  const body = randomBytes(5_000_000);
  const request = httpRequest({
    host: "127.0.0.1",
    port: world.edgePort,
    method: "POST",
    path: "/hash",
    headers: { host: world.hostOf() },
  });
  arrived = 0;
  request.write(body.subarray(0, 1_000_000));
  await eventually(() => arrived === 1_000_000);
  request.end(body.subarray(1_000_000));
  const [response] = (await once(request, "response")) as [IncomingMessage];
  expect(await bodyOf(response)).toBe(createHash("sha256").update(body).digest("hex"));
  // With a length, too.
  const again = await world.visit({
    method: "POST",
    path: "/hash",
    body: "abc",
    headers: { "content-length": "3", expect: "100-continue" },
  });
  expect(again.text).toBe(createHash("sha256").update("abc").digest("hex"));
});

test("events come as they are sent, and a visitor who leaves is gone from the sandbox", async () => {
  const request = httpRequest({
    host: "127.0.0.1",
    port: world.edgePort,
    path: "/events",
    headers: { host: world.hostOf() },
  });
  request.end();
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const [first] = (await once(response, "data")) as [Buffer];
  expect(first.toString()).toBe("data: one\n\n");
  expect(open).toBe(1);
  response.destroy();
  await eventually(() => open === 0);
});

const upgrade = (path: string, headers: Record<string, string> = {}) => {
  const request = httpRequest({
    host: "127.0.0.1",
    port: world.edgePort,
    path,
    headers: { host: world.hostOf(), connection: "Upgrade", upgrade: "websocket", ...headers },
  });
  request.end();
  return request;
};

test("a WebSocket goes through both ways, and ends with either side", async () => {
  const [response, socket, head] = (await once(upgrade("/socket"), "upgrade")) as [IncomingMessage, Socket, Buffer];
  expect(response.headers).toMatchObject({ upgrade: "websocket" });
  expect(seen).toEqual([]);
  let text = head.toString();
  socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const sent = randomBytes(200_000).toString("hex");
  socket.write(sent);
  await eventually(() => text.length === "first".length + sent.length);
  expect(text).toBe(`first${sent}`);
  socket.end();
  await once(socket, "close");

  const [refused] = (await once(upgrade("/no"), "response")) as [IncomingMessage];
  expect([refused.statusCode, await bodyOf(refused)]).toEqual([403, "no"]);
  const [elsewhere] = (await once(upgrade("/socket", { host: "localhost" }), "response")) as [IncomingMessage];
  expect(elsewhere.statusCode).toBe(404);
  const [other] = (await once(upgrade("/plain", { upgrade: "h2c" }), "response")) as [IncomingMessage];
  expect(await bodyOf(other)).toBe("hello from /plain");
  expect(seen.at(-1)?.headers).not.toHaveProperty("upgrade");
});

test("visitors who leave in the middle, and WebSockets that are never closed, end nothing and hold nothing", async () => {
  const connections = () =>
    new Promise<number>((resolve) => {
      world.app.getConnections((_error, count) => resolve(count));
    });
  for (let round = 0; round < 20; round += 1) {
    const request = httpRequest({
      host: "127.0.0.1",
      port: world.edgePort,
      method: "POST",
      path: round % 2 === 0 ? "/endless" : "/hash",
      headers: { host: world.hostOf() },
      agent: false,
    });
    request.on("error", () => undefined);
    request.write(Buffer.alloc(100_000));
    if (round % 2 === 0) await once(request, "response");
    request.destroy();
  }
  const [, socket] = (await once(upgrade("/socket"), "upgrade")) as [IncomingMessage, Socket];
  socket.on("error", () => undefined);
  expect(await connections()).toBeGreaterThan(0);
  socket.allowHalfOpen = true;
  world.app.closeAllConnections();
  for (const each of sockets) each.end();
  socket.resume();
  await eventually(() => socket.destroyed || socket.readableEnded);
  await eventually(async () => (await connections()) === 0);
  expect((await world.visit()).status).toBe(200);
});

test("an answer that breaks off does not look whole", async () => {
  await expect(world.visit({ path: "/breaks" })).rejects.toThrow("aborted");
});

test("a hundred visitors at once; beyond the bound they are told, and nothing stays taken", async () => {
  const answers = await Promise.all(Array.from({ length: 100 }, (_, n) => world.visit({ path: `/${n}` })));
  expect(answers.map(({ text }) => text)).toEqual(answers.map((_, n) => `hello from /${n}`));
  const streams = Array.from({ length: 130 }, () => {
    const request = httpRequest({
      host: "127.0.0.1",
      port: world.edgePort,
      path: "/events",
      headers: { host: world.hostOf() },
      agent: false,
    });
    request.end();
    return request;
  });
  const responses = await Promise.all(
    streams.map(async (request) => ((await once(request, "response")) as [IncomingMessage])[0]),
  );
  const statuses = responses.map(({ statusCode }) => statusCode);
  expect(statuses.filter((status) => status === 200)).toHaveLength(112);
  expect(statuses.filter((status) => status === 503)).toHaveLength(18);
  for (const response of responses) response.destroy();
  await eventually(async () => (await world.visit()).status === 200);
});
