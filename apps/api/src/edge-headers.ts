import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import type { ApiContext } from "./request-context.ts";

/** Seconds for which a browser need not ask again whether it may. */
const preflightSeconds = 600;

/** Browsers of these origins may call; nobody's answer is ever given to all. No cookies are involved, so none are allowed. */
export const allowOrigins = (origins: readonly string[]): MiddlewareHandler<ApiContext> =>
  cors({
    origin: [...origins],
    allowMethods: ["GET", "POST", "PUT", "PATCH", "DELETE"],
    allowHeaders: ["authorization", "content-type", "idempotency-key", "last-event-id", "x-account-id", "x-request-id"],
    exposeHeaders: ["idempotent-replayed", "location", "ratelimit", "retry-after", "x-request-id"],
    maxAge: preflightSeconds,
  });

/**
 * What every answer says to a browser. Set before the handler runs, because a stream writes its head itself; a page with scripts replaces the
 * policy by its own.
 */
export const secureHeaders: MiddlewareHandler<ApiContext> = async (c, next) => {
  c.header("x-content-type-options", "nosniff");
  c.header("referrer-policy", "no-referrer");
  c.header("content-security-policy", "default-src 'none'; frame-ancestors 'none'");
  c.header("strict-transport-security", "max-age=31536000; includeSubDomains");
  c.header("cache-control", "no-store");
  await next();
};
