import { createHash } from "node:crypto";
import type { Identity, VerifyToken } from "./verify-token.ts";

/**
 * How long a verified token is taken at its word. Verifying costs more than anything else that a request does in this process; a
 * revoked key is noticed by this much later than the cache of the project's keys says (project-keys.ts: ten minutes).
 */
const rememberedMs = 60_000;

/** A few hundred bytes each. The oldest makes room. */
const mostRemembered = 10_000;

/** The same verifier with a memory. Tokens stand in it by their digest; one that was refused is not remembered, and none outlives its `exp`. */
export const rememberTokens = (verify: VerifyToken, now: () => number = Date.now): VerifyToken => {
  const known = new Map<string, { identity: Identity; until: number }>();
  return async (token) => {
    const digest = createHash("sha256").update(token).digest("base64");
    const remembered = known.get(digest);
    if (remembered && now() < remembered.until) return remembered.identity;
    known.delete(digest);
    const identity = await verify(token);
    const [oldest] = known.keys();
    if (known.size >= mostRemembered && oldest !== undefined) known.delete(oldest);
    known.set(digest, { identity, until: Math.min(now() + rememberedMs, identity.expiresAt * 1_000) });
    return identity;
  };
};
