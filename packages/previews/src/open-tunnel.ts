import { request as httpRequest } from "node:http";
import type { Socket } from "node:net";
import type { PreviewedPort } from "./link.ts";
import { isProof, signTunnel } from "./signature.ts";
import {
  openMs,
  proofHeader,
  refusalStatus,
  signatureHeader,
  type TunnelRefusal,
  TunnelRefused,
} from "./tunnel-protocol.ts";

/** The worker that shows a port, as its row has it. */
export interface PreviewHolder {
  workerId: string;
  /** `host:port` of its private listener. */
  address: string;
}

/** What a worker writes into a row, and nothing that could mean another place, another path or another user. */
const addressPattern = /^(\[[0-9a-f:]+\]|[a-z0-9]([a-z0-9.-]*[a-z0-9])?):(\d{1,5})$/i;

const splitAddress = (address: string): { host: string; port: number } => {
  const [, host, , port] = addressPattern.exec(address) ?? [];
  if (host === undefined || port === undefined || Number(port) > 65_535) throw new TunnelRefused("unreachable");
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
};

const reasonOf = (status: number | undefined): TunnelRefusal => {
  for (const [reason, its] of Object.entries(refusalStatus)) if (its === status) return reason as TunnelRefusal;
  return "unreachable";
};

/**
 * A byte stream to a port of a sandbox, through the worker that shows it.
 * @throws TunnelRefused
 */
export const openTunnel = (secret: string, holder: PreviewHolder, target: PreviewedPort): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const signature = signTunnel(secret, { ...target, workerId: holder.workerId });
    const request = httpRequest({
      ...splitAddress(holder.address),
      method: "CONNECT",
      path: `${target.sandboxId}:${target.port}`,
      headers: { [signatureHeader]: signature },
      agent: false,
    });
    const timer = setTimeout(() => request.destroy(new Error("the worker keeps silent")), openMs);
    request.once("error", (cause) => {
      clearTimeout(timer);
      reject(new TunnelRefused("unreachable", { cause }));
    });
    request.once("connect", (response, socket: Socket, head) => {
      clearTimeout(timer);
      // Whoever gets it listens; what comes before must not end our process.
      socket.on("error", () => undefined);
      const proof = response.headers[proofHeader];
      if (response.statusCode === 200 && typeof proof === "string" && isProof(secret, signature, proof)) {
        if (head.length > 0) socket.unshift(head);
        socket.setNoDelay(true);
        resolve(socket);
        return;
      }
      socket.destroy();
      reject(new TunnelRefused(response.statusCode === 200 ? "unreachable" : reasonOf(response.statusCode)));
    });
    request.end();
  });
