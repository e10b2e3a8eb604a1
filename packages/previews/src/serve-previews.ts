import { createServer } from "node:http";
import type { Socket } from "node:net";
import { forwardRequest } from "./forward-request.ts";
import { forwardUpgrade } from "./forward-upgrade.ts";
import type { PreviewEdgeDeps } from "./visit.ts";

/** Of this process: each costs two descriptors and a few windows of data. */
const maxVisitors = 1_024;
/** A visitor who dawdles over its head, or over a body of any size, holds a connection no longer than this. */
const headersMs = 15_000;
const requestMs = 30 * 60_000;

export interface PreviewServer {
  port: number;
  /** Takes no more, and cuts what is open: a preview has no end that could be waited for. */
  close(): Promise<void>;
}

/**
 * The listener of previews, on an address and so on origins of its own: never beside anything of ours. Where a request goes is decided by the label of its host
 * alone, and a host that is no label of ours goes nowhere. Rejects if the address cannot be had.
 */
export const servePreviews = async (
  deps: PreviewEdgeDeps,
  input: { host: string; port: number },
): Promise<PreviewServer> => {
  const open = new Set<Socket>();
  const server = createServer(
    {
      headersTimeout: headersMs,
      requestTimeout: requestMs,
      insecureHTTPParser: false,
      // Anything else that a client would like to change to is left as it is: a request.
      shouldUpgradeCallback: (request) => request.headers.upgrade?.toLowerCase() === "websocket",
    },
    (request, response) => void forwardRequest(deps, request, response),
  );
  server.maxConnections = maxVisitors;
  server.on("upgrade", (request, socket, head) => void forwardUpgrade(deps, request, socket, head));
  server.on("connection", (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(input.port, input.host, resolve);
  });
  const address = server.address();
  return {
    port: address !== null && typeof address === "object" ? address.port : input.port,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        for (const socket of open) socket.destroy();
      }),
  };
};
