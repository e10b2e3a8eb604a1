import { Hono, type Context } from "hono";
import { inTransaction } from "../database.ts";
import { parseEmail } from "../email-address.ts";
import { AuthFailure } from "../failure.ts";
import { hashCode } from "../one-time-codes.ts";
import { issueAuthCode, PKCE_PREFIX } from "../pkce.ts";
import { redirectTarget } from "../redirects.ts";
import { readBody, type RequestBody } from "../request-body.ts";
import { addressOf, type AuthEnv, clientOf } from "../request-context.ts";
import type { AuthServices } from "../services.ts";
import { signInResponse } from "../session-response.ts";
import { purposesOf, verifyCode } from "../verification.ts";

const ONE_OF_TWO = "Confirmation link accepted. Please proceed to confirm link sent to the other email";

/** `POST /verify`: a code typed in. */
export function verifyRoutes(services: AuthServices): Hono<AuthEnv> {
  return new Hono<AuthEnv>().post("/verify", async (context) => {
    const body = await readBody(context);
    const purposes = purposesOf(body.text("type"));
    const { tokenHash, email } = proofOf(services, body);
    // Only a typed code can be guessed; a hash is 256 bits that nobody outside can compute.
    const attempt = email === null ? null : services.limits.codeAttempt({ email, address: addressOf(context) });
    attempt?.take();
    const answer = await inTransaction(services.db, async (tx) => {
      const { outcome, userId } = await verifyCode(tx, { tokenHash, purposes, settings: services.settings });
      if (outcome === "one_of_two") return { msg: ONE_OF_TWO, code: "200" };
      return signInResponse(services, tx, { userId, method: "otp", client: clientOf(context) });
    });
    attempt?.refund();
    return context.json(answer);
  });
}

/** `GET /verify`: the link of a mail. Open to everybody: a mail program sends no API key. It always ends at the site. */
export function linkRoutes(services: AuthServices): Hono<AuthEnv> {
  return new Hono<AuthEnv>().get("/verify", async (context) => {
    const target = redirectTarget(services.settings, context.req.query("redirect_to") ?? null);
    try {
      return context.redirect(await followLink(services, context, target), 303);
    } catch (error) {
      if (!(error instanceof AuthFailure)) throw error;
      return context.redirect(
        withFragment(target, { error: "access_denied", error_code: error.code, error_description: error.message }),
        303,
      );
    }
  });
}

async function followLink(services: AuthServices, context: Context<AuthEnv>, target: string): Promise<string> {
  const type = context.req.query("type") ?? "";
  const token = context.req.query("token") ?? "";
  const purposes = purposesOf(type || null);
  return inTransaction(services.db, async (tx) => {
    const tokenHash = token.startsWith(PKCE_PREFIX) ? token.slice(PKCE_PREFIX.length) : token;
    const { outcome, userId } = await verifyCode(tx, { tokenHash, purposes, settings: services.settings });
    if (outcome === "one_of_two") return withFragment(target, { message: ONE_OF_TWO });
    if (token.startsWith(PKCE_PREFIX)) return withQuery(target, { code: await issueAuthCode(tx, { userId, type }) });
    const { user: _user, ...session } = await signInResponse(services, tx, {
      userId,
      method: "otp",
      client: clientOf(context),
    });
    return withFragment(target, { ...session, type });
  });
}

/** The hash that a code or a link's hash stands for; the e-mail when a person typed a code. */
function proofOf(services: AuthServices, body: RequestBody): { tokenHash: string; email: string | null } {
  const token = body.text("token");
  const tokenHash = body.text("token_hash");
  if ((token === null) === (tokenHash === null)) {
    throw new AuthFailure(400, "validation_failed", "Verify requires either a token or a token hash");
  }
  if (tokenHash !== null) {
    return {
      tokenHash: tokenHash.startsWith(PKCE_PREFIX) ? tokenHash.slice(PKCE_PREFIX.length) : tokenHash,
      email: null,
    };
  }
  const email = parseEmail(body.text("email"));
  return { tokenHash: hashCode(services.secrets, email, token ?? ""), email };
}

/** In the fragment, which browsers keep to themselves: not in a server's log, not in a Referer. `sb` marks it as ours for supabase-js. */
function withFragment(target: string, values: Record<string, unknown>): string {
  const url = new URL(target);
  const fragment = new URLSearchParams(Object.entries(values).map(([name, value]) => [name, String(value)]));
  fragment.set("sb", "");
  url.hash = fragment.toString();
  return url.href;
}

function withQuery(target: string, values: Record<string, string>): string {
  const url = new URL(target);
  for (const [name, value] of Object.entries(values)) url.searchParams.set(name, value);
  return url.href;
}
