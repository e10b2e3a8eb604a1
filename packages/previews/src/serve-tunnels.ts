import { createServer, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { Logger } from "@cortex/observability";
import { SandboxError } from "@cortex/sandbox/port";
import { longestLinkMs, type PreviewedPort } from "./link.ts";
import { joinStreams } from "./join-streams.ts";
import { proveTunnel, verifyTunnel } from "./signature.ts";
import {
  idleMs,
  proofHeader,
  refusalStatus,
  signatureHeader,
  type TunnelRefusal,
  TunnelRefused,
} from "./tunnel-protocol.ts";

/** Of one sandbox. Below `maxConnections` of a sandbox (128): the agent's own browser has its share. */
const maxTunnels = 112;
/** All in all: each holds a descriptor and two windows of data. */
const maxTunnelsOfWorker = 1_024;

export interface TunnelServerDeps {
  secret: string;
  workerId: string;
  /** Opens a way to a port that this worker shows. Null: it does not. Throws SandboxError. */
  open(target: PreviewedPort): Promise<Duplex> | null;
  log: Logger;
}

export interface TunnelServer {
  /** Of its listener. */
  port: number;
  /** Takes no more, and cuts what is open. */
  close(): Promise<void>;
}

const targetOf = (request: IncomingMessage): PreviewedPort | null => {
  const [, sandboxId, port] = /^([0-9a-f-]{36}):(\d{1,5})$/.exec(request.url ?? "") ?? [];
  return sandboxId === undefined || port === undefined ? null : { sandboxId, port: Number(port) };
};

const refusalOf = (error: unknown): Exclude<TunnelRefusal, "unreachable"> => {
  if (error instanceof TunnelRefused && error.reason !== "unreachable") return error.reason;
  if (!(error instanceof SandboxError)) return "not_running";
  if (error.reason === "connection_refused" || error.reason === "connection_reset") return "nothing_listens";
  return error.reason === "process_limit" ? "crowded" : "not_running";
};

/**
 * The worker's private listener: ways to ports that it shows, for whoever has the secret. It understands nothing of what goes through.
 * Rejects if the address cannot be had.
 */
export const serveTunnels = async (
  deps: TunnelServerDeps,
  input: { host: string; port: number },
): Promise<TunnelServer> => {
  const open = new Set<Duplex>();
  const perSandbox = new Map<string, number>();
  const count = (sandboxId: string, by: 1 | -1): void => {
    const tunnels = (perSandbox.get(sandboxId) ?? 0) + by;
    if (tunnels === 0) perSandbox.delete(sandboxId);
    else perSandbox.set(sandboxId, tunnels);
  };

  const accept = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    const target = targetOf(request);
    const signature = request.headers[signatureHeader];
    // Nothing is said before we have answered: what comes earlier is meant for somebody else's parser.
    if (target === null || typeof signature !== "string" || head.length > 0) throw new TunnelRefused("forbidden");
    if (!verifyTunnel(deps.secret, { ...target, workerId: deps.workerId }, signature))
      throw new TunnelRefused("forbidden");
    if ((perSandbox.get(target.sandboxId) ?? 0) >= maxTunnels) throw new TunnelRefused("crowded");
    const opening = deps.open(target);
    if (opening === null) throw new TunnelRefused("not_held");
    count(target.sandboxId, 1);
    socket.once("close", () => count(target.sandboxId, -1));
    const stream = await opening;
    if (socket.destroyed) {
      stream.destroy();
      return;
    }
    socket.write(`HTTP/1.1 200 OK\r\n${proofHeader}: ${proveTunnel(deps.secret, signature)}\r\n\r\n`);
    joinStreams(socket, stream, { idleMs, totalMs: longestLinkMs });
  };

  const server = createServer({ headersTimeout: 5_000, requestTimeout: 5_000 }, (_request, response) => {
    response.writeHead(404, { connection: "close" }).end();
  });
  server.maxConnections = maxTunnelsOfWorker;
  server.on("connection", (socket) => {
    open.add(socket);
    socket.once("close", () => open.delete(socket));
  });
  server.on("connect", (request, socket, head) => {
    socket.on("error", () => undefined);
    accept(request, socket, head).catch((error: unknown) => {
      const reason = refusalOf(error);
      if (!(error instanceof TunnelRefused || error instanceof SandboxError))
        deps.log.warn({ err: error }, "a way to a port could not be opened");
      socket.end(`HTTP/1.1 ${refusalStatus[reason]} No\r\n\r\n`, () => socket.destroy());
    });
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
