import { createHmac, timingSafeEqual } from "node:crypto";
import type { PreviewedPort } from "./link.ts";

/** How far the clocks of two of our machines may be apart, and how long a request may be under way. */
const goodForMs = 30_000;

export interface TunnelClaim extends PreviewedPort {
  /** Whom it is for: an address may by now belong to another worker, or to somebody else's program. */
  workerId: string;
}

const macOf = (secret: string, ...parts: readonly string[]): string =>
  createHmac("sha256", secret).update(JSON.stringify(parts)).digest("hex");

const same = (one: string, other: string): boolean => {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
};

/** What a worker must be shown before it opens a way into a sandbox: `<milliseconds>.<mac>`. */
export const signTunnel = (secret: string, claim: TunnelClaim, now = Date.now()): string => {
  const { workerId, sandboxId, port } = claim;
  return `${now}.${macOf(secret, "preview tunnel", workerId, sandboxId, String(port), String(now))}`;
};

/** Was it signed by somebody who has the secret, for exactly this, just now? */
export const verifyTunnel = (secret: string, claim: TunnelClaim, signature: string, now = Date.now()): boolean => {
  const at = Number(/^(\d{13})\./.exec(signature)?.[1] ?? Number.NaN);
  return Math.abs(now - at) <= goodForMs && same(signature, signTunnel(secret, claim, at));
};

/** What the worker answers to a signature, so that nobody else at its address gets to see what visitors send. */
export const proveTunnel = (secret: string, signature: string): string => macOf(secret, "preview worker", signature);

export const isProof = (secret: string, signature: string, proof: string): boolean =>
  same(proof, proveTunnel(secret, signature));
