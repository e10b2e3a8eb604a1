import { randomUUID } from "node:crypto";
import { Hono } from "hono";
import { parseEmail } from "../email-address.ts";
import { AuthFailure } from "../failure.ts";
import { parsePassword } from "../passwords.ts";
import { readChallenge } from "../pkce.ts";
import { redirectTarget } from "../redirects.ts";
import { type JsonObject, readBody } from "../request-body.ts";
import { addressOf, type AuthEnv, clientOf } from "../request-context.ts";
import { sendCode } from "../send-code.ts";
import type { AuthServices } from "../services.ts";
import { signInResponse } from "../session-response.ts";
import { userView } from "../user-view.ts";
import { createUser, findUserByEmail, type UserRow } from "../users.ts";

/** `POST /signup`: with e-mail and password, or without either for an anonymous user. */
export function signUpRoutes(services: AuthServices): Hono<AuthEnv> {
  return new Hono<AuthEnv>().post("/signup", async (context) => {
    const body = await readBody(context);
    services.limits.takeSignUp({ address: addressOf(context) });
    if (body.text("phone") !== null)
      throw new AuthFailure(400, "phone_provider_disabled", "Phone signups are disabled");
    const userMetadata = body.object("data") ?? {};
    const client = clientOf(context);

    if (body.text("email") === null && body.text("password") === null) {
      const user = await createUser(services.db, {
        email: null,
        passwordHash: null,
        confirmed: false,
        userMetadata,
        appMetadata: {},
      });
      if (user === null) throw new TypeError("a fresh uuid was taken");
      return context.json(
        await signInResponse(services, services.db, { userId: user.id, method: "anonymous", client }),
      );
    }

    const password = parsePassword(body.text("password"));
    const email = parseEmail(body.text("email"));
    if (!services.settings.confirmEmail) {
      const user = await register(services, { email, password, userMetadata, confirmed: true });
      if (user === null) throw new AuthFailure(422, "user_already_exists", "User already registered");
      return context.json(await signInResponse(services, services.db, { userId: user.id, method: "password", client }));
    }

    const challenge = readChallenge(body);
    const redirectTo = redirectTarget(services.settings, context.req.query("redirect_to") ?? null);
    services.limits.takeMail({ email, address: addressOf(context) });
    const created = await register(services, { email, password, userMetadata, confirmed: false });
    const user = created ?? (await findUserByEmail(services.db, email));
    if (user === null || user.email_confirmed_at !== null) {
      // Nothing in the answer tells that somebody has this e-mail already.
      return context.json(somebodyNew(email, userMetadata));
    }
    await sendCode(services, {
      userId: user.id,
      purpose: "confirmation_token",
      type: "signup",
      email,
      redirectTo,
      challenge,
    });
    return context.json(userView(user));
  });
}

/** Hashes first, so that the time to answer is the same for a taken e-mail. @returns null when the e-mail is taken */
async function register(
  services: AuthServices,
  input: { email: string; password: string; userMetadata: JsonObject; confirmed: boolean },
): Promise<UserRow | null> {
  const passwordHash = await services.passwords.hash(input.password);
  const { email, userMetadata, confirmed } = input;
  return createUser(services.db, { email, passwordHash, confirmed, userMetadata, appMetadata: {} });
}

/** What a sign-up of an e-mail that is taken answers: a user who looks new and does not exist. */
function somebodyNew(email: string, userMetadata: JsonObject): JsonObject {
  const now = new Date().toISOString();
  return {
    id: randomUUID(),
    aud: "authenticated",
    role: "",
    email,
    phone: "",
    confirmation_sent_at: now,
    app_metadata: { provider: "email", providers: ["email"] },
    user_metadata: userMetadata,
    identities: [],
    created_at: now,
    updated_at: now,
    is_anonymous: false,
  };
}
