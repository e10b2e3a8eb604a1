import { Hono, type Context } from "hono";
import { inTransaction } from "../database.ts";
import { AuthFailure } from "../failure.ts";
import { exchangeAuthCode } from "../pkce.ts";
import { refreshSession } from "../refresh.ts";
import { readBody, type RequestBody } from "../request-body.ts";
import { addressOf, type AuthEnv, clientOf } from "../request-context.ts";
import type { AuthServices } from "../services.ts";
import { sessionResponse, signInResponse, type SessionResponse } from "../session-response.ts";
import { findUserByEmail, isBanned } from "../users.ts";

/** `POST /token?grant_type=password|refresh_token|pkce`: the ways to an access token. */
export function tokenRoutes(services: AuthServices): Hono<AuthEnv> {
  return new Hono<AuthEnv>().post("/token", async (context) => {
    const body = await readBody(context);
    switch (context.req.query("grant_type")) {
      case "password":
        return context.json(await passwordGrant(services, context, body));
      case "refresh_token":
        return context.json(await refreshGrant(services, context, body));
      case "pkce":
        return context.json(await pkceGrant(services, context, body));
      default:
        throw new AuthFailure(400, "invalid_credentials", "unsupported_grant_type");
    }
  });
}

async function passwordGrant(
  services: AuthServices,
  context: Context<AuthEnv>,
  body: RequestBody,
): Promise<SessionResponse> {
  if (body.text("phone") !== null) throw new AuthFailure(422, "phone_provider_disabled", "Phone logins are disabled");
  // Any other text is simply nobody's e-mail.
  const email = body.text("email")?.toLowerCase() ?? null;
  if (email === null) throw new AuthFailure(400, "validation_failed", "missing email or phone");
  const attempt = services.limits.passwordAttempt({ email, address: addressOf(context) });
  const user = await findUserByEmail(services.db, email);
  const hash = user?.encrypted_password ?? null;
  const matches = await services.passwords.matches(body.rawText("password") ?? "", hash, () => attempt.take());
  if (user === null || !matches) throw new AuthFailure(400, "invalid_credentials", "Invalid login credentials");
  attempt.refund();

  // Told only to who knows the password.
  if (isBanned(user, new Date())) throw new AuthFailure(400, "user_banned", "User is banned");
  if (user.email_confirmed_at === null) throw new AuthFailure(400, "email_not_confirmed", "Email not confirmed");
  return signInResponse(services, services.db, { userId: user.id, method: "password", client: clientOf(context) });
}

async function refreshGrant(
  services: AuthServices,
  context: Context<AuthEnv>,
  body: RequestBody,
): Promise<SessionResponse> {
  const refreshToken = body.text("refresh_token");
  if (refreshToken === null) throw new AuthFailure(400, "validation_failed", "refresh_token required");
  const refreshed = await refreshSession(services, { refreshToken, client: clientOf(context) });
  return sessionResponse(services, refreshed);
}

async function pkceGrant(
  services: AuthServices,
  context: Context<AuthEnv>,
  body: RequestBody,
): Promise<SessionResponse> {
  const authCode = body.text("auth_code");
  const verifier = body.text("code_verifier");
  if (authCode === null || verifier === null) {
    throw new AuthFailure(
      400,
      "validation_failed",
      "invalid request: both auth code and code verifier should be non-empty",
    );
  }
  return inTransaction(services.db, async (tx) => {
    const userId = await exchangeAuthCode(tx, { authCode, verifier });
    return signInResponse(services, tx, { userId, method: "otp", client: clientOf(context) });
  });
}
