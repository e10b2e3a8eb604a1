import { Hono } from "hono";
import { authenticate, type SignedIn } from "../authenticate.ts";
import { inTransaction } from "../database.ts";
import { parseEmail } from "../email-address.ts";
import { startEmailChange } from "../email-change.ts";
import { AuthFailure } from "../failure.ts";
import { parsePassword } from "../passwords.ts";
import { readChallenge } from "../pkce.ts";
import { redirectTarget } from "../redirects.ts";
import { readBody } from "../request-body.ts";
import { addressOf, type AuthEnv } from "../request-context.ts";
import type { AuthServices } from "../services.ts";
import { endSessions, type SignOutScope } from "../sessions.ts";
import { changeEmail, mergeMetadata, refuseTakenEmail, setPassword } from "../user-changes.ts";
import { userView } from "../user-view.ts";
import { findUserById, lockUser } from "../users.ts";

/** `GET /user`, `PUT /user`, `POST /logout`: what a signed-in user does with themselves. */
export function userRoutes(services: AuthServices): Hono<AuthEnv> {
  return new Hono<AuthEnv>()
    .get("/user", async (context) => context.json(userView((await authenticate(services, context)).user)))
    .put("/user", async (context) => {
      const signedIn = await authenticate(services, context);
      const { user } = signedIn;
      const body = await readBody(context);
      if (body.object("app_metadata") !== null) {
        throw new AuthFailure(403, "not_admin", "Updating app_metadata requires admin privileges");
      }
      if (body.text("phone") !== null)
        throw new AuthFailure(400, "phone_provider_disabled", "Unsupported phone provider");
      const newEmail = body.text("email") === null ? null : parseEmail(body.text("email"));
      const emailToChange = newEmail === user.email ? null : newEmail;
      if (emailToChange !== null) await refuseTakenEmail(services.db, { userId: user.id, email: emailToChange });
      const passwordHash = await newPasswordHash(services, signedIn, { password: body.rawText("password"), newEmail });

      if (emailToChange !== null) services.limits.takeMail({ email: emailToChange, address: addressOf(context) });

      const mails = await inTransaction(services.db, async (tx) => {
        await lockUser(tx, user.id);
        if (passwordHash !== null)
          await setPassword(tx, { userId: user.id, passwordHash, keepSessionId: signedIn.sessionId });
        const changes = body.object("data");
        if (changes !== null) await mergeMetadata(tx, { userId: user.id, column: "raw_user_meta_data", changes });
        if (emailToChange === null) return [];
        if (user.is_anonymous && !services.settings.confirmEmail) {
          await changeEmail(tx, { userId: user.id, email: emailToChange, verified: true });
          return [];
        }
        const redirectTo = redirectTarget(services.settings, context.req.query("redirect_to") ?? null);
        return startEmailChange(services, tx, {
          user,
          newEmail: emailToChange,
          redirectTo,
          challenge: readChallenge(body),
        });
      });
      for (const mail of mails) services.outbox.send(mail);
      return context.json(userView((await findUserById(services.db, user.id)) ?? user));
    })
    .post("/logout", async (context) => {
      const scope = parseScope(context.req.query("scope"));
      const { user, sessionId } = await authenticate(services, context);
      await endSessions(services.db, { userId: user.id, sessionId, scope });
      return context.body(null, 204);
    });
}

/** The hash of the wanted password, or null if none is wanted. @throws AuthFailure for a weak, unchanged or ownerless password */
async function newPasswordHash(
  services: AuthServices,
  { user }: SignedIn,
  wanted: { password: string | null; newEmail: string | null },
): Promise<string | null> {
  if (wanted.password === null) return null;
  const password = parsePassword(wanted.password);
  if (user.is_anonymous && wanted.newEmail === null) {
    const message = "Updating password of an anonymous user without an email or phone is not allowed";
    throw new AuthFailure(422, "validation_failed", message);
  }
  if (await services.passwords.matches(password, user.encrypted_password)) {
    throw new AuthFailure(422, "same_password", "New password should be different from the old password.");
  }
  return services.passwords.hash(password);
}

function parseScope(scope: string | undefined): SignOutScope {
  switch (scope) {
    case undefined:
    case "":
    case "global":
      return "global";
    case "local":
    case "others":
      return scope;
    default:
      throw new AuthFailure(400, "validation_failed", `Unsupported logout scope "${scope.slice(0, 32)}"`);
  }
}
