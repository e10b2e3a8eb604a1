import { randomBytes, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from "node:http";
import { Socket } from "node:net";
import { type Duplex, pipeline } from "node:stream";
import type { Logger } from "@cortex/observability";
import { connect, dialTcp, type Line } from "./connect.ts";
import { EgressError } from "./egress-error.ts";
import { createGuard, type GuardOptions } from "./guard.ts";
import { answerRaw, authorityOf, hopByHop, passedOn, statusOf, targetOf } from "./proxy-message.ts";

export interface EgressProxyOptions extends GuardOptions {
  log: Logger;
  /** Connections of clients at once; what comes beyond is closed. Default 256: a browser opens some dozens for a page. */
  maxConnections?: number;
  /** Default 10 s. */
  connectMs?: number;
  /** A connection on which nothing moves for so long is closed. Default 2 minutes, above the pings of WebSockets. */
  idleMs?: number;
}

export interface EgressProxy {
  /** `http://127.0.0.1:<port>`, without the credentials. */
  url: string;
  /** For `Proxy-Authorization: Basic`. Random, of this proxy alone. */
  username: string;
  password: string;
  /** Ends every connection. */
  close(): Promise<void>;
}

/** Both directions, until either side has had enough; then neither is left open. */
const join = (client: Duplex, upstream: Duplex): void => {
  const end = () => {
    client.destroy();
    upstream.destroy();
  };
  pipeline(client, upstream, () => undefined);
  pipeline(upstream, client, end);
};

/** The proxy behind any guard. */
export const proxyThrough = async (
  line: Line,
  options: Omit<EgressProxyOptions, keyof GuardOptions>,
): Promise<EgressProxy> => {
  const { log, maxConnections = 256, connectMs = 10_000, idleMs = 120_000 } = options;
  const username = "cortex";
  const password = randomBytes(24).toString("base64url");
  const expected = Buffer.from(`Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`);
  const open = new Set<Duplex>();
  const closing = new AbortController();

  const track = <Connection extends Socket>(socket: Connection): Connection => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    // A broken connection is over, and that is all there is to know.
    socket.on("error", () => socket.destroy());
    socket.setTimeout(idleMs, () => socket.destroy());
    return socket;
  };
  const knows = (request: IncomingMessage): boolean => {
    const given = Buffer.from(request.headers["proxy-authorization"] ?? "");
    return given.length === expected.length && timingSafeEqual(given, expected);
  };
  const reach = async (url: URL, gone: Duplex): Promise<Socket> => {
    const left = new AbortController();
    const leave = () => left.abort(new EgressError("unreachable", "The client has left."));
    gone.once("close", leave);
    try {
      const signal = AbortSignal.any([left.signal, closing.signal]);
      const destination = line.guard.admit(url);
      return track(await connect(line, { destination, secure: false, connectMs, signal }));
    } finally {
      gone.off("close", leave);
    }
  };
  const refusal = (error: unknown, host: string | undefined): { status: number; text: string } => {
    if (error instanceof EgressError) {
      log.info({ host, code: error.code, err: error.cause }, "the egress proxy refused a connection");
      return { status: statusOf(error), text: error.message };
    }
    if (!closing.signal.aborted) log.error({ err: error, host }, "the egress proxy failed");
    return { status: 502, text: "The proxy failed." };
  };
  /** HTTP sets its own times on a connection while it is its own. */
  const rearm = (client: Duplex): void => {
    if (client instanceof Socket) client.setTimeout(idleMs);
  };

  const tunnel = async (request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> => {
    if (!knows(request)) return answerRaw(client, 407, "This proxy is not for everybody.");
    try {
      const upstream = await reach(authorityOf(request), client);
      client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
      if (head.length > 0) upstream.write(head);
      rearm(client);
      join(client, upstream);
    } catch (error) {
      const { status, text } = refusal(error, request.url);
      answerRaw(client, status, text);
    }
  };

  const upgrade = async (request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> => {
    if (!knows(request)) return answerRaw(client, 407, "This proxy is not for everybody.");
    try {
      const url = targetOf(request);
      const upstream = await reach(url, client);
      const headers = passedOn(request, url, /^(?:connection|upgrade)$/i);
      const lines = headers.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${headers[at + 1] ?? ""}`] : []));
      upstream.write(
        `${request.method ?? "GET"} ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`,
        "latin1",
      );
      if (head.length > 0) upstream.write(head);
      rearm(client);
      join(client, upstream);
    } catch (error) {
      const { status, text } = refusal(error, request.headers.host);
      answerRaw(client, status, text);
    }
  };

  const forward = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const refuse = (status: number, text: string) => {
      response.writeHead(status, {
        "content-type": "text/plain; charset=utf-8",
        connection: "close",
        ...(status === 407 ? { "proxy-authenticate": 'Basic realm="egress"' } : {}),
      });
      response.end(text);
    };
    if (!knows(request)) return refuse(407, "This proxy is not for everybody.");
    try {
      const url = targetOf(request);
      const upstream = await reach(url, request.socket);
      const asking = httpRequest({
        createConnection: () => upstream,
        method: request.method ?? "GET",
        path: url.pathname + url.search,
        headers: [...passedOn(request, url, null), "Connection", "close"],
      });
      asking.once("response", (answer) => {
        const headers = answer.rawHeaders.flatMap((name, at) =>
          at % 2 === 0 && !hopByHop.test(name) ? [name, answer.rawHeaders[at + 1] ?? ""] : [],
        );
        response.writeHead(answer.statusCode ?? 502, headers);
        pipeline(answer, response, () => upstream.destroy());
      });
      asking.once("error", () => {
        upstream.destroy();
        if (response.headersSent) response.destroy();
        else refuse(502, `${url.hostname} gave no usable answer.`);
      });
      response.once("close", () => upstream.destroy());
      pipeline(request, asking, () => undefined);
    } catch (error) {
      const { status, text } = refusal(error, request.headers.host);
      refuse(status, text);
    }
  };

  const server = createServer({ headersTimeout: 10_000, requestTimeout: 0, keepAliveTimeout: 5_000 });
  server.maxConnections = maxConnections;
  server.on("connection", track);
  server.on("connect", (request: IncomingMessage, client: Duplex, head: Buffer) => void tunnel(request, client, head));
  server.on("upgrade", (request: IncomingMessage, client: Duplex, head: Buffer) => void upgrade(request, client, head));
  server.on("request", (request, response) => void forward(request, response));
  const port = await new Promise<number>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      resolve(address !== null && typeof address === "object" ? address.port : 0);
    });
  });

  return {
    url: `http://127.0.0.1:${port}`,
    username,
    password,
    close: async () => {
      closing.abort(new EgressError("unreachable", "The proxy was closed."));
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
};

/**
 * The rules of `createSafeFetch` for a program that speaks through a proxy, a browser above all: plain http, and CONNECT for everything else
 * (https, WebSockets). It listens on 127.0.0.1 at a port of the system's choice and wants its password, because other users of the machine
 * reach it too. Names are resolved here; redirects come back to the program, which asks here again.
 * @throws TypeError for an entry of `allow` that cannot be meant
 */
export const createEgressProxy = async (options: EgressProxyOptions): Promise<EgressProxy> =>
  proxyThrough({ guard: createGuard(options), dial: dialTcp }, options);
