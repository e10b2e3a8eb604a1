/**
 * How the edge asks a worker for a way to a port of a sandbox: `CONNECT <sandbox>:<port>` with a signature. 200 with a proof, and from there on the
 * connection carries the bytes of that port; anything else is one of these refusals.
 */
export const signatureHeader = "x-cortex-preview";
export const proofHeader = "x-cortex-preview-proof";

export type TunnelRefusal =
  | "forbidden" // no signature, or not for this
  | "not_held" // this worker shows no such port
  | "nothing_listens"
  | "not_running" // the sandbox sleeps, or is gone
  | "crowded" // too many connections
  | "unreachable"; // the worker is away, silent, or not the one we mean

export const refusalStatus: Readonly<Record<Exclude<TunnelRefusal, "unreachable">, number>> = {
  forbidden: 403,
  not_held: 404,
  nothing_listens: 502,
  not_running: 410,
  crowded: 503,
};

/** Why there is no way to the port. */
export class TunnelRefused extends Error {
  override readonly name = "TunnelRefused";
  readonly reason: TunnelRefusal;

  constructor(reason: TunnelRefusal, options?: ErrorOptions) {
    super(`no way to the port: ${reason}`, options);
    this.reason = reason;
  }
}

/** Silence either way after which a connection is cut; a server that has something to say says it within that, or sends a comment. */
export const idleMs = 5 * 60_000;
/** A sandbox's agent waits 10 s for a server to accept; then there is the way there. */
export const openMs = 15_000;
