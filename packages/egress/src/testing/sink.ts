import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import type { Dial } from "../connect.ts";
import type { Guard, Resolve } from "../guard.ts";

export interface Sink {
  port: number;
  /** Every connection ends at the sink, wherever it was meant to go; and where that was. */
  dial: Dial;
  dialled: string[][];
  requests: string[];
  server: Server;
  close(): Promise<void>;
}

/** A real server that stands for whatever lives at an address. `/to?<address>` redirects there. */
export const startSink = async (): Promise<Sink> => {
  const dialled: string[][] = [];
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method ?? ""} ${request.headers.host ?? ""}${request.url ?? ""}`);
    const to = /^\/to\?(.*)$/.exec(request.url ?? "")?.[1];
    if (to !== undefined) {
      const location = Buffer.from(decodeURIComponent(to)).toString("latin1");
      response.writeHead(302, { location }).end();
    } else response.end("reached");
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  const port = address !== null && typeof address === "object" ? address.port : 0;
  return {
    port,
    dialled,
    requests,
    server,
    dial: (addresses) => {
      dialled.push([...addresses]);
      return new Promise((resolve, reject) => {
        const socket = connect(port, "127.0.0.1", () => resolve(socket));
        socket.once("error", reject);
      });
    },
    close: async () => {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      server.closeAllConnections();
      await closed;
    },
  };
};

/** The same questions, and everything is allowed: what the guard is measured against. */
export const openGuard = (resolve: Resolve): Guard => ({
  admit: (url) => ({
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? 80 : Number(url.port),
    listed: true,
  }),
  addressesOf: async ({ host }) => (/^[\d.]+$/.test(host) || host.includes(":") ? [host] : resolve(host)),
});
