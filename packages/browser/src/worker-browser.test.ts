import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { env } from "node:process";
import { AppError } from "@cortex/contracts";
import { createEgressProxy } from "@cortex/egress";
import { hostileAddresses, noAddresses } from "@cortex/egress/testing";
import { silentLogger } from "@cortex/observability";
import { eventually } from "@cortex/testing";
import { expect, onTestFinished, test, type TestContext } from "vitest";
import { createRunBrowser, type RunBrowser } from "./run-browser.ts";
import { withChromium } from "./testing/with-chromium.ts";
import { workerBrowser, type WorkerBrowserSettings } from "./worker-browser.ts";

const log = silentLogger();
const { signal } = new AbortController();

/** A page that tries the ways out that are no navigation, and redirects; what it reaches is counted. */
const startInside = async () => {
  const heard: string[] = [];
  const datagrams: string[] = [];
  const udp = createSocket("udp4");
  udp.on("message", (message) => datagrams.push(message.toString("latin1")));
  udp.bind(0, "127.0.0.1");
  await once(udp, "listening");
  const server = createServer((request, response) => {
    heard.push(request.url ?? "");
    response.writeHead(200, { "content-type": "text/html", "access-control-allow-origin": "*" }).end("<h1>inside</h1>");
  });
  server.on("upgrade", (request, socket) => {
    heard.push(`websocket ${request.url}`);
    socket.destroy();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
    udp.close();
  });
  return {
    heard,
    datagrams,
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    udpPort: udp.address().port,
  };
};
type Inside = Awaited<ReturnType<typeof startInside>>;

/** Every hostile address as it is, and with the port of a server that answers wherever the address leaves the choice. */
const spellings = ({ port }: Inside): string[] =>
  hostileAddresses.flatMap(({ url }) => {
    if (!URL.canParse(url) || new URL(url).port !== "") return [url];
    return [url, Object.assign(new URL(url), { port: String(port), pathname: "/spelled" }).href];
  });

/** The one server that may be reached, as the operator's list says; it stands for the internet. */
const startOutside = async (inside: Inside) => {
  const target = `127.0.0.1:${inside.port}`;
  const script = `
    const everywhere = ${JSON.stringify(spellings(inside))};
    const tries = [...everywhere.map((url) => fetch(url, { mode: "no-cors", signal: AbortSignal.timeout(5000) })), fetch("http://${target}/fetch", { mode: "no-cors" }), fetch("http://localhost:${inside.port}/name", { mode: "no-cors" })];
    new Image().src = "http://${target}/image";
    const frame = document.createElement("iframe"); frame.src = "http://[::ffff:127.0.0.1]:${inside.port}/frame"; document.body.append(frame);
    navigator.sendBeacon("http://${target}/beacon", "x");
    tries.push(new Promise((done) => { const ws = new WebSocket("ws://${target}/socket"); ws.onclose = ws.onerror = done; }));
    tries.push(new Promise((done) => {
      const peer = new RTCPeerConnection({ iceServers: [{ urls: "stun:127.0.0.1:${inside.udpPort}" }] });
      peer.createDataChannel("x"); peer.createOffer().then((offer) => peer.setLocalDescription(offer));
      setTimeout(done, 1500);
    }));
    Promise.allSettled(tries).then(() => { document.body.append("all tried"); });`;
  const server = createServer((request, response) => {
    const to = /^\/to\?(.*)$/.exec(request.url ?? "")?.[1];
    if (to !== undefined) response.writeHead(302, { location: decodeURIComponent(to) }).end();
    else
      response
        .writeHead(200, { "content-type": "text/html" })
        .end(`<title>outside</title><body><h1>outside</h1><script>${script}</script>`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  return `127.0.0.1:${typeof address === "object" ? (address?.port ?? 0) : 0}`;
};

const aBrowser = (context: TestContext, proxy: WorkerBrowserSettings["proxy"]): RunBrowser => {
  withChromium(context);
  const launch = workerBrowser({
    proxy,
    program: null,
    searchPath: env["PATH"] ?? "",
    noSandbox: env["BROWSER_NO_SANDBOX"] === "true",
  });
  const browser = createRunBrowser({ launch, log });
  onTestFinished(() => browser.close());
  return browser;
};

/** What became of opening an address: the refusal of the browser, or what is shown, which may be a refusal of the proxy. */
const open = async (browser: RunBrowser, url: string): Promise<string> => {
  try {
    const { snapshot } = await browser.navigate(url, signal);
    return snapshot.includes('heading "inside"') ? "reached" : "refused";
  } catch (error) {
    if (error instanceof AppError) return error.code;
    throw error;
  }
};

/** Lets the page try everything, and then goes to the inside by the two ways in which a browser gets there itself. */
const tryEverything = async (browser: RunBrowser, outside: string, inside: Inside): Promise<string[]> => {
  expect((await browser.navigate(`http://${outside}/`, signal)).title).toBe("outside");
  await eventually(
    async () =>
      (await browser.extract({ what: "text", offset: 0, maxChars: 1_000 }, signal)).text.includes("all tried"),
    { timeoutMs: 30_000, intervalMs: 200 },
  );
  const direct = `http://127.0.0.1:${inside.port}/direct`;
  return [await open(browser, direct), await open(browser, `http://${outside}/to?${encodeURIComponent(direct)}`)];
};

const folders = () => readdirSync(tmpdir()).filter((name) => name.startsWith("cortex-browser-"));

test(
  "behind the proxy nothing inside is reached, in no way and by no spelling",
  { timeout: 180_000 },
  async (context) => {
    const inside = await startInside();
    const outside = await startOutside(inside);
    const proxy = await createEgressProxy({ log, allow: [outside], resolve: async () => ["127.0.0.1"] });
    onTestFinished(() => proxy.close());
    const browser = aBrowser(context, proxy);
    const before = folders();

    expect(await tryEverything(browser, outside, inside)).not.toContain("reached");
    const reached: string[] = [];
    for (const url of noAddresses) if ((await open(browser, url)) === "reached") reached.push(url);
    expect(reached).toEqual([]);
    expect(inside.heard).toEqual([]);
    expect(inside.datagrams).toEqual([]);

    // Nobody's process and nobody's files.
    expect(folders().length).toBe(before.length + 1);
    await browser.close();
    expect(folders()).toEqual(before);
  },
);

test("without the proxy all of it is reached", { timeout: 120_000 }, async (context) => {
  const inside = await startInside();
  const outside = await startOutside(inside);
  const browser = aBrowser(context, null);
  expect(await tryEverything(browser, outside, inside)).toEqual(["reached", "reached"]);
  for (const way of ["/fetch", "/name", "/image", "/frame", "/beacon", "websocket /socket", "/direct"]) {
    expect(inside.heard).toContain(way);
  }
  // The ways to write this machine's own address are many, and a browser understands them.
  expect(inside.heard.filter((path) => path.startsWith("/spelled")).length).toBeGreaterThan(15);
  expect(inside.datagrams.length).toBeGreaterThan(0);
});
