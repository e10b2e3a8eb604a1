import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import { requireApiKey } from "./api-key.ts";
import { AuthFailure } from "./failure.ts";
import { failureResponse } from "./failure-response.ts";
import { isLoopbackHostHeader } from "./loopback.ts";
import { outboxPage } from "./outbox-page.ts";
import type { AuthEnv } from "./request-context.ts";
import { adminUserRoutes } from "./routes/admin-users.ts";
import { codeRoutes } from "./routes/codes.ts";
import { discoveryRoutes, settingsRoutes } from "./routes/discovery.ts";
import { signUpRoutes } from "./routes/sign-up.ts";
import { tokenRoutes } from "./routes/token.ts";
import { userRoutes } from "./routes/user.ts";
import { linkRoutes, verifyRoutes } from "./routes/verify.ts";
import type { AuthServices } from "./services.ts";

/** Metadata ends in every access token, so a body may not be large: 64 KiB. */
const MAX_BODY_BYTES = 65_536;

/** Seconds a browser may remember a preflight. */
const PREFLIGHT_MAX_AGE = 600;

/** The whole server as one Hono app: guards first, then what is open, then what needs a key. */
export function createAuthApp(services: AuthServices): Hono<AuthEnv> {
  const app = new Hono<AuthEnv>();
  app.onError((error, context) => failureResponse(context, error, services.log));
  app.notFound((context) =>
    failureResponse(context, new AuthFailure(404, "not_found", "The local stack has no such route"), services.log),
  );
  app.use("*", async (context, next) => {
    if (!isLoopbackHostHeader(context.req.header("host"))) {
      throw new AuthFailure(403, "validation_failed", "This server answers to names of this machine only");
    }
    // Tokens and mails must stay in nobody's cache; what may be cached says so itself.
    context.header("Cache-Control", "no-store");
    context.header("X-Content-Type-Options", "nosniff");
    await next();
  });

  app.get("/outbox", (context) => {
    context.header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    context.header("Referrer-Policy", "no-referrer");
    return context.html(outboxPage(services.outbox.list(context.req.query("to") ?? null)));
  });
  app.get("/outbox.json", (context) => context.json({ mails: services.outbox.list(context.req.query("to") ?? null) }));
  app.route("/auth/v1", authRoutes(services));
  return app;
}

function authRoutes(services: AuthServices): Hono<AuthEnv> {
  const { allowedOrigins, siteUrl } = services.settings;
  const origins = [...new Set([new URL(siteUrl).origin, ...allowedOrigins])];
  return new Hono<AuthEnv>()
    .use(
      cors({
        origin: origins,
        allowMethods: ["GET", "POST", "PUT", "DELETE"],
        allowHeaders: ["apikey", "authorization", "content-type", "x-client-info", "x-supabase-api-version"],
        exposeHeaders: ["link", "retry-after", "x-supabase-api-version", "x-total-count"],
        maxAge: PREFLIGHT_MAX_AGE,
      }),
    )
    .use(
      bodyLimit({
        maxSize: MAX_BODY_BYTES,
        onError: () => {
          throw new AuthFailure(
            413,
            "request_entity_too_large",
            `Request body too large (max ${MAX_BODY_BYTES} bytes)`,
          );
        },
      }),
    )
    .route("/", discoveryRoutes(services))
    .route("/", linkRoutes(services))
    .use(requireApiKey(services.secrets))
    .route("/", settingsRoutes(services))
    .route("/", signUpRoutes(services))
    .route("/", tokenRoutes(services))
    .route("/", codeRoutes(services))
    .route("/", verifyRoutes(services))
    .route("/", userRoutes(services))
    .route("/", adminUserRoutes(services));
}
