import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { createPreviewLinks } from "./link.ts";
import { signTunnel } from "./signature.ts";
import { type PreviewWorld, sandboxId, secret, startPreviewWorld } from "./testing/preview-world.ts";

let world: PreviewWorld;
let seen: string[] = [];
beforeAll(async () => {
  world = await startPreviewWorld((request, response) => {
    seen.push(request.url ?? "");
    request.resume();
    response.end("inside");
  });
});
afterAll(() => world.close());
beforeEach(() => {
  seen = [];
});

test("only a label that we have signed, and that is not over, leads anywhere", async () => {
  const host = world.hostOf();
  const [label = "", ...domain] = host.split(".");
  expect(label).toMatch(/^[a-z2-7]{61}$/);
  const before = world.asked();
  for (let at = 0; at < label.length; at += 1) {
    const other = label[at] === "a" ? "b" : "a";
    const forged = [label.slice(0, at) + other + label.slice(at + 1), ...domain].join(".");
    expect(world.links.read(forged).kind).toBe("none");
  }
  const strange = [
    `a.${host}`,
    `${label}.example.com`,
    `${label}.preview.example.com.evil.example`,
    `${host}@evil.example`,
    "preview.example.com",
    ".preview.example.com",
    "localhost",
    "127.0.0.1",
    "169.254.169.254",
    `${label.slice(1)}.preview.example.com`,
    `${label}aa.preview.example.com`,
    "",
  ];
  for (const name of strange) expect([name, (await world.visit({ host: name })).status]).toEqual([name, 404]);

  const foreign = createPreviewLinks({
    secret: "another secret of thirty-two letters",
    url: "https://{label}.preview.example.com",
  });
  const theirs = new URL(foreign.sign({ sandboxId, port: world.appPort }).url).host;
  expect((await world.visit({ host: theirs })).status).toBe(404);

  const old = world.links.sign({ sandboxId, port: world.appPort }, new Date(Date.now() - 2 * 60 * 60_000));
  const expired = await world.visit({ host: new URL(old.url).host });
  expect([expired.status, expired.text]).toEqual([410, expect.stringContaining("expired") as string]);
  expect(expired.headers).toMatchObject({ "cache-control": "no-store", "x-robots-tag": "noindex" });
  expect(world.asked()).toBe(before);
  expect(seen).toEqual([]);
  expect((await world.visit({ host: `${host.toUpperCase()}.:443` })).status).toBe(200);
});

test("a link says what it is for, and asking again soon gives the same one", () => {
  const now = new Date("2026-11-21T12:00:00.000Z");
  const made = world.links.sign({ sandboxId, port: 65_535 }, now);
  expect(made.expiresAt.toISOString()).toBe("2026-11-21T13:00:00.000Z");
  expect(world.links.read(new URL(made.url).host, now)).toEqual({
    kind: "link",
    sandboxId,
    port: 65_535,
    expiresAt: made.expiresAt,
  });
  const later = (minutes: number) =>
    world.links.sign({ sandboxId, port: 65_535 }, new Date(now.getTime() + minutes * 60_000));
  expect(later(1).url).toBe(later(14).url);
  expect(later(16).url).not.toBe(later(14).url);
  expect(world.links.read(new URL(made.url).host, made.expiresAt)).toEqual({ kind: "expired" });
});

test("where nothing is, a page says what", async () => {
  // Nothing listens there; the worker does not show it; no worker shows it.
  expect(await world.visit({ host: world.hostOf(1) })).toMatchObject({
    status: 502,
    text: expect.stringContaining("no program listens") as string,
  });
  expect(await world.visit({ host: world.hostOf(2) })).toMatchObject({
    status: 503,
    text: expect.stringContaining("not shown") as string,
  });
  expect((await world.visit({ host: world.hostOf(3) })).status).toBe(503);
});

test("an address that is none, or at which somebody else listens by now, gets nothing of a visitor's", async () => {
  let heard = "";
  const impostor = createServer();
  impostor.on("connect", (request, socket: Socket) => {
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => (heard += chunk.toString()));
    socket.write(
      `HTTP/1.1 200 OK\r\nx-cortex-preview-proof: ${"0".repeat(64)}\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`,
    );
    heard += request.url ?? "";
  });
  impostor.listen(0, "127.0.0.1");
  await once(impostor, "listening");
  onTestFinished(() => void impostor.close());
  const own = `127.0.0.1:${(impostor.address() as AddressInfo).port}`;
  const addresses = [
    own,
    "127.0.0.1:1",
    "127.0.0.1:99999",
    `user@${own}`,
    `http://${own}`,
    `${own}/path`,
    `x\r\ny:1`,
    "",
  ];
  for (const address of addresses) {
    world.holders.set(7, { workerId: "w1", address });
    expect([address, (await world.visit({ host: world.hostOf(7), path: "/secret" })).status]).toEqual([address, 503]);
  }
  expect(heard).toBe(`${sandboxId}:7`);
});

const ask = (headers: Record<string, string>, path = `${sandboxId}:${world.appPort}`): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const request = httpRequest({ host: "127.0.0.1", port: world.tunnelPort, method: "CONNECT", path, headers });
    request.once("connect", (response, socket) => {
      socket.destroy();
      resolve(response.statusCode);
    });
    request.once("error", reject);
    request.end();
  });

test("a worker opens a way for whoever has the secret, to what it shows, just now", async () => {
  const claim = { sandboxId, port: world.appPort, workerId: "w1" };
  const signed = (signature: string) => ask({ "x-cortex-preview": signature });
  expect(await signed(signTunnel(secret, claim))).toBe(200);
  expect(await ask({})).toBe(403);
  for (const signature of [
    "",
    "nonsense",
    signTunnel("another secret of thirty-two letters", claim),
    signTunnel(secret, { ...claim, port: 1 }),
    signTunnel(secret, { ...claim, sandboxId: sandboxId.replace("0", "1") }),
    signTunnel(secret, { ...claim, workerId: "w2" }),
    signTunnel(secret, claim, Date.now() - 31_000),
    signTunnel(secret, claim, Date.now() + 31_000),
    signTunnel(secret, claim).replace(/^\d/, "2"),
    `${signTunnel(secret, claim)}0`,
  ])
    expect([signature, await signed(signature)]).toEqual([signature, 403]);
  // Signed, and shown to nobody.
  const hidden = signTunnel(secret, { ...claim, port: 22 });
  expect(await ask({ "x-cortex-preview": hidden }, `${sandboxId}:22`)).toBe(404);
  for (const path of ["127.0.0.1:22", `${sandboxId}:0x16`, `${sandboxId}:999999`])
    expect(await ask({}, path)).toBe(403);
  expect(seen).toEqual([]);
});

/** What comes back for these very bytes. */
const raw = (text: string): Promise<string> =>
  new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port: world.edgePort });
    socket.write(text, "latin1");
    let answer = "";
    socket.on("data", (chunk: Buffer) => (answer += chunk.toString()));
    // A reset says what a refusal says.
    socket.on("error", () => undefined);
    socket.once("close", () => resolve(answer));
  });

test("a request that two readers could understand differently reaches nobody", async () => {
  const host = world.hostOf();
  const smuggled = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n";
  const hostile = [
    `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 0, 5\r\n\r\n${smuggled}`,
    `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: +5\r\n\r\n${smuggled}`,
    `POST / HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n${smuggled}`,
    `POST / HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${smuggled}`,
    `GET http://${host}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `GET http://127.0.0.1:${world.tunnelPort}/ HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `CONNECT 127.0.0.1:${world.tunnelPort} HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `OPTIONS * HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `TRACE / HTTP/1.1\r\nHost: ${host}\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: ${host}\r\nHost: evil.example\r\n\r\n`,
    `GET / HTTP/1.1\r\n\r\n`,
    `GET / HTTP/1.0\r\nHost: ${host}\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: ${host}\r\nX: a\rb: c\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: ${host}\r\nX: a\n folded\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: ${host}\r\nX: a\0b\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: ${host}\r\nX: ${"a".repeat(100_000)}\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
    `POST / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  ];
  for (const text of hostile) {
    const answer = await raw(text);
    expect([text.slice(0, 120), answer.slice(0, 12)]).toEqual([
      text.slice(0, 120),
      expect.stringMatching(/^(HTTP\/1\.1 4\d\d)?$/),
    ]);
  }
  expect(seen).toEqual([]);
});

test("what is sent behind a request is a request of its own, wherever its host says", async () => {
  const answer = await raw(
    `GET /one HTTP/1.1\r\nHost: ${world.hostOf()}\r\n\r\nGET /two HTTP/1.1\r\nHost: localhost\r\n\r\n`,
  );
  expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 404"]);
  expect(seen).toEqual(["/one"]);
});
