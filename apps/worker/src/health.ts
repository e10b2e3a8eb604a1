import { createServer } from "node:http";
import type { ConsumerState } from "@cortex/queue";

export interface HealthDeps {
  workerId: string;
  /** Runs that are held. */
  held: () => number;
  /** When the last heartbeat got through: milliseconds of the monotonic clock. */
  lastBeat: () => number;
  consumer: () => ConsumerState;
  /** Why the process is about to end itself; null while it is well. */
  wedged: () => string | null;
}

interface Answer {
  status: number;
  body: Record<string, unknown>;
}

/**
 * `GET /health` (200: leave it alone, 503: restart it) and `GET /ready` (200: it takes runs, 503: it cannot now, and will by itself) on a private
 * port. Loopback in the local stack; in a container the platform's probe reaches it.
 * @param input.leaseMs a heartbeat within it: runs can be held
 */
export const serveHealth = async (
  deps: HealthDeps,
  input: { port: number; leaseMs: number },
): Promise<{ port: number; close: () => Promise<void> }> => {
  const health = (): Answer => {
    const reason = deps.wedged();
    const { refused } = deps.consumer();
    const facts = { worker_id: deps.workerId, runs: deps.held(), ...(refused === null ? {} : { queue: refused }) };
    if (reason === null) return { status: 200, body: { status: "ok", ...facts } };
    return { status: 503, body: { status: "wedged", reason, ...facts } };
  };

  const ready = (): Answer => {
    const { connected, refused } = deps.consumer();
    const up = { status: "up" };
    const postgres =
      performance.now() - deps.lastBeat() < input.leaseMs
        ? up
        : { status: "down", detail: "no heartbeat gets through" };
    const redis = refused !== null ? { status: "down", detail: refused } : connected ? up : { status: "down" };
    const isReady = postgres === up && redis === up;
    const status = isReady ? "ready" : "not_ready";
    return { status: isReady ? 200 : 503, body: { status, dependencies: { postgres, redis } } };
  };

  const answerTo = (method: string | undefined, url: string | undefined): Answer => {
    if (method === "GET" && url === "/health") return health();
    if (method === "GET" && url === "/ready") return ready();
    return { status: 404, body: {} };
  };

  const server = createServer((request, response) => {
    const { status, body } = answerTo(request.method, request.url);
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
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
