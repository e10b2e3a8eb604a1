import { createServer } from "node:http";
import type { WorkerServices } from "./services.ts";

/** A worker whose heartbeat has failed for this many leases is wedged or cut off: whoever supervises it may restart it. */
const wedgedAfterLeases = 2;

/**
 * `GET /health` on a private port: 200 while the heartbeat gets through, else 503. Loopback in the local stack; in a container the
 * platform's probe reaches it.
 */
export const serveHealth = async (input: {
  port: number;
  services: Pick<WorkerServices, "leases" | "settings" | "workerId">;
}): Promise<{ port: number; close: () => Promise<void> }> => {
  const { leases, settings, workerId } = input.services;
  const server = createServer((request, response) => {
    const silentMs = performance.now() - leases.lastBeat();
    const alive = silentMs < settings.leaseMs * wedgedAfterLeases;
    const known = request.method === "GET" && request.url === "/health";
    response.writeHead(known ? (alive ? 200 : 503) : 404, { "content-type": "application/json" });
    response.end(
      JSON.stringify(known ? { status: alive ? "ok" : "wedged", worker_id: workerId, runs: leases.held() } : {}),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(input.port, resolve);
  });
  const address = server.address();
  return {
    port: address !== null && typeof address === "object" ? address.port : input.port,
    close: () =>
      new Promise((resolve, reject) => {
        server.closeAllConnections();
        server.close((error) => (error ? reject(error) : resolve()));
      }),
  };
};
