import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { silentLogger } from "@cortex/observability";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { createEgressProxy, type EgressProxy, type EgressProxyOptions } from "./proxy.ts";

let server: Server;
let port: number;
let asked: { head: string; headers: string[]; body: string }[] = [];
let answer: (response: ServerResponse) => void;
const upgraded: Socket[] = [];

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const body = await text(request);
    asked.push({ head: `${request.method ?? ""} ${request.url ?? ""}`, headers: request.rawHeaders, body });
    answer(response);
  });
  // A WebSocket as far as a proxy can tell: the handshake, then bytes in both directions.
  server.on("upgrade", (request, socket: Socket) => {
    asked.push({ head: `UPGRADE ${request.url ?? ""}`, headers: request.rawHeaders, body: "" });
    upgraded.push(socket);
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  ({ port } = server.address() as AddressInfo);
});
afterAll(() => {
  for (const socket of upgraded) socket.destroy();
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  asked = [];
  answer = (response) => response.end("here");
});

const start = async (options: Partial<EgressProxyOptions> = {}): Promise<EgressProxy> => {
  const proxy = await createEgressProxy({ allow: [`127.0.0.1:${port}`], log: silentLogger(), ...options });
  onTestFinished(() => proxy.close());
  return proxy;
};

const open = async (proxy: EgressProxy): Promise<Socket> => {
  const socket = connect(Number(new URL(proxy.url).port), "127.0.0.1");
  socket.on("error", () => undefined);
  await once(socket, "connect");
  onTestFinished(() => void socket.destroy());
  return socket;
};

const credentials = ({ username, password }: EgressProxy): string =>
  `Proxy-Authorization: Basic ${Buffer.from(`${username}:${password}`).toString("base64")}\r\n`;

/** Sends a request and reads until the other side closes. */
const say = async (proxy: EgressProxy, head: string, rest = ""): Promise<string> => {
  const socket = await open(proxy);
  socket.write(`${head}\r\n${credentials(proxy)}\r\n${rest}`);
  return text(socket);
};

const heard = (socket: Socket): (() => string) => {
  let all = "";
  socket.on("data", (chunk: Buffer) => (all += chunk.toString()));
  return () => all;
};

const connections = (): Promise<number> =>
  new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });

const patiently = { timeout: 10_000 };

test("a plain request is passed on with its body, and without what is for the proxy", async () => {
  const proxy = await start();
  answer = (response) => response.writeHead(201, { "x-answer": "yes", "proxy-authenticate": "no" }).end("made");
  const got = await say(
    proxy,
    `POST http://127.0.0.1:${port}/a?b=c HTTP/1.1\r\nHost: elsewhere.example\r\nContent-Length: 5\r\nX-Kept: 1\r\nConnection: close`,
    "hello",
  );
  expect(got).toMatch(/^HTTP\/1\.1 201 Created\r\n[\s\S]*x-answer: yes[\s\S]*made/);
  expect(got).not.toContain("proxy-authenticate");
  expect(asked).toHaveLength(1);
  expect(asked[0]).toMatchObject({ head: "POST /a?b=c", body: "hello" });
  const sent = asked[0]?.headers.join("\n") ?? "";
  expect(sent).toContain(`Host\n127.0.0.1:${port}`);
  expect(sent).toContain("X-Kept\n1");
  expect(sent).not.toMatch(/elsewhere|proxy/i);
});

test("a redirect comes back to whoever asked, who has to ask here again", async () => {
  const proxy = await start();
  answer = (response) => response.writeHead(302, { location: "http://169.254.169.254/" }).end();
  const got = await say(proxy, `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: x\r\nConnection: close`);
  expect(got).toMatch(/^HTTP\/1\.1 302 [\s\S]*location: http:\/\/169\.254/);
  expect(await say(proxy, "GET http://169.254.169.254/ HTTP/1.1\r\nHost: x\r\nConnection: close")).toMatch(/ 403 /);
});

test("WebSockets pass, by CONNECT and by a plain upgrade", async () => {
  const proxy = await start();
  const handshake = "Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
  const tunnel = await open(proxy);
  const inTunnel = heard(tunnel);
  tunnel.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n${credentials(proxy)}\r\n`);
  await expect.poll(inTunnel, patiently).toMatch(/^HTTP\/1\.1 200 /);
  tunnel.write(`GET /ws HTTP/1.1\r\n${handshake}\r\n`);
  await expect.poll(inTunnel, patiently).toMatch(/ 101 Switching/);
  tunnel.write("ping-1");
  await expect.poll(inTunnel, patiently).toMatch(/ping-1$/);

  const plain = await open(proxy);
  const inPlain = heard(plain);
  plain.write(`GET http://127.0.0.1:${port}/ws2 HTTP/1.1\r\n${handshake}${credentials(proxy)}\r\n`);
  await expect.poll(inPlain, patiently).toMatch(/ 101 Switching/);
  plain.write("ping-2");
  await expect.poll(inPlain, patiently).toMatch(/ping-2$/);
  expect(asked.map(({ head }) => head)).toEqual(["UPGRADE /ws", "UPGRADE /ws2"]);
  expect(asked.flatMap(({ headers }) => headers).join()).not.toMatch(/proxy/i);

  // Either end takes the other with it.
  tunnel.destroy();
  upgraded.at(-1)?.destroy();
  await once(plain, "close");
  await expect.poll(connections, patiently).toBe(0);
});

test("without its password it does nothing, and says which one it wants", async () => {
  const proxy = await start();
  const other = await start();
  const wrong = ["", credentials(other), "Proxy-Authorization: Basic \r\n", "Proxy-Authorization: Bearer x\r\n"];
  const requests = [
    `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`,
    `CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n`,
    `GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`,
  ];
  for (const request of requests) {
    for (const password of wrong) {
      const socket = await open(proxy);
      socket.write(`${request}${password}\r\n`);
      expect(await text(socket)).toMatch(/^HTTP\/1\.1 407 [\s\S]*proxy-authenticate: basic/i);
    }
  }
  expect(asked).toEqual([]);
});

test("who speaks to the proxy itself is told that it is one", async () => {
  const proxy = await start();
  for (const path of ["/", "/etc/passwd", "*", "https://127.0.0.1/", `ftp://127.0.0.1:${port}/`]) {
    expect(await say(proxy, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close`)).toMatch(/^HTTP\/1\.1 400 /);
  }
  expect(asked).toEqual([]);
});

test("a server that is not there, or gives no answer, is a 502 and no end of the proxy", async () => {
  const proxy = await start({ allow: ["127.0.0.1:1", `127.0.0.1:${port}`] });
  expect(await say(proxy, "CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x")).toMatch(/^HTTP\/1\.1 502 /);
  const close = "Host: x\r\nConnection: close";
  expect(await say(proxy, `GET http://127.0.0.1:1/ HTTP/1.1\r\n${close}`)).toMatch(/^HTTP\/1\.1 502 /);
  answer = (response) => response.destroy();
  expect(await say(proxy, `GET http://127.0.0.1:${port}/ HTTP/1.1\r\n${close}`)).toMatch(/^HTTP\/1\.1 502 /);
  answer = (response) => response.end("here");
  expect(await say(proxy, `GET http://127.0.0.1:${port}/ HTTP/1.1\r\n${close}`)).toContain("here");
});

test("connections are bounded in number and in silence", async () => {
  const few = await start({ maxConnections: 2 });
  const first = await open(few);
  const second = await open(few);
  const third = await open(few);
  await once(third, "close");
  expect([first.destroyed, second.destroyed]).toEqual([false, false]);

  const quiet = await start({ idleMs: 100 });
  const tunnel = await open(quiet);
  tunnel.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n${credentials(quiet)}\r\n`);
  tunnel.resume();
  await once(tunnel, "close");
  const silent = await open(quiet);
  await once(silent, "close");
  await expect.poll(connections, patiently).toBe(0);
});

test("closing ends every connection, also one that is being made", async () => {
  let asking = false;
  const proxy = await start({
    resolve: () => {
      asking = true;
      return Promise.withResolvers<readonly string[]>().promise;
    },
  });
  const tunnel = await open(proxy);
  const inTunnel = heard(tunnel);
  tunnel.write(`CONNECT 127.0.0.1:${port} HTTP/1.1\r\nHost: x\r\n${credentials(proxy)}\r\n`);
  await expect.poll(inTunnel, patiently).toMatch(/^HTTP\/1\.1 200 /);
  const stuck = await open(proxy);
  stuck.write(`CONNECT slow.example.com:443 HTTP/1.1\r\nHost: x\r\n${credentials(proxy)}\r\n`);
  await expect.poll(() => asking, patiently).toBe(true);
  const both = Promise.all([once(tunnel, "close"), once(stuck, "close")]);
  stuck.resume();
  await proxy.close();
  await both;
  await expect.poll(connections, patiently).toBe(0);
});
