import { createHash, randomBytes } from "node:crypto";
import type { AuthSecrets } from "./secrets.ts";

/**
 * Refresh tokens. The database keeps fingerprints only. The successor of a token is derived from it with the stack's secret,
 * so that a client that lost the answer to its refresh, or sent it twice at once, gets the same successor again without
 * the server keeping any token in clear.
 */

/** The first token of a session: 24 random bytes. */
export function newRefreshToken(): string {
  return randomBytes(24).toString("base64url");
}

/** The token that replaces this one; only this stack can compute it. */
export function successorOf(secrets: AuthSecrets, token: string): string {
  return secrets.derive("refresh-token", token).slice(0, 32);
}

/** What `auth.refresh_tokens.token` holds. A plain hash is enough: the tokens are random, nobody can guess through it. */
export function fingerprint(token: string): string {
  return createHash("sha256").update(token).digest("hex");
}
