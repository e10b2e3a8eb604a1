import { Hono } from "hono";
import { AuthFailure } from "../failure.ts";
import type { AuthEnv } from "../request-context.ts";
import type { AuthServices } from "../services.ts";

/** Seconds; hosted's value. A verifier that meets an unknown key looks again anyway, so a rotation needs no wait. */
const JWKS_MAX_AGE = 600;

/** What anybody may read: keys, health, metadata. */
export function discoveryRoutes(services: AuthServices): Hono<AuthEnv> {
  const { accessTokens, settings } = services;
  return (
    new Hono<AuthEnv>()
      .get("/.well-known/jwks.json", (context) => {
        context.header("Cache-Control", `public, max-age=${JWKS_MAX_AGE}`);
        return context.json(accessTokens.jwks());
      })
      .get("/.well-known/openid-configuration", (context) => {
        context.header("Cache-Control", `public, max-age=${JWKS_MAX_AGE}`);
        return context.json({
          issuer: settings.issuer,
          token_endpoint: `${settings.issuer}/token`,
          jwks_uri: `${settings.issuer}/.well-known/jwks.json`,
          subject_types_supported: ["public"],
          id_token_signing_alg_values_supported: ["ES256"],
        });
      })
      // Where `signInWithOAuth` sends a browser; without this it would complain about a missing key.
      .get("/authorize", () => {
        throw new AuthFailure(400, "validation_failed", "Unsupported provider: provider is not enabled");
      })
      .get("/health", (context) =>
        context.json({ name: "GoTrue", version: "local", description: "Local stand-in for Supabase Auth" }),
      )
  );
}

/** What a client with an API key may ask about this project. */
export function settingsRoutes(services: AuthServices): Hono<AuthEnv> {
  return new Hono<AuthEnv>().get("/settings", (context) =>
    context.json({
      external: { anonymous_users: true, email: true, phone: false },
      disable_signup: false,
      mailer_autoconfirm: !services.settings.confirmEmail,
      phone_autoconfirm: false,
      sms_provider: "",
      saml_enabled: false,
      passkeys_enabled: false,
    }),
  );
}
