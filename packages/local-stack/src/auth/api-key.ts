import { createHash, timingSafeEqual } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import { AuthFailure } from "./failure.ts";
import type { AuthEnv } from "./request-context.ts";
import type { AuthSecrets } from "./secrets.ts";

/** The header alone: a key in a query string would end in logs, and would let any page post here without a preflight. */
function apiKeyOf(context: Context<AuthEnv>): string {
  return context.req.header("apikey") ?? "";
}

/** What a hosted project's gateway does: nobody gets in without a key of the project. */
export function requireApiKey(secrets: AuthSecrets): MiddlewareHandler<AuthEnv> {
  return async (context, next) => {
    const key = apiKeyOf(context);
    const known = [secrets.publishableKey, secrets.secretKey].some((expected) => isSame(key, expected));
    if (!known)
      throw new AuthFailure(401, "no_authorization", key === "" ? "No API key found in request" : "Invalid API key");
    await next();
  };
}

/** The admin API is for holders of the secret key. */
export function requireSecretKey(secrets: AuthSecrets): MiddlewareHandler<AuthEnv> {
  return async (context, next) => {
    if (!isSame(apiKeyOf(context), secrets.secretKey)) throw new AuthFailure(403, "not_admin", "User not allowed");
    await next();
  };
}

/** In constant time, by digest, because timingSafeEqual wants equal lengths. */
function isSame(given: string, expected: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
