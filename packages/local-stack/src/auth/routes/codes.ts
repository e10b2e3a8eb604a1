import { Hono, type Context } from "hono";
import { inTransaction } from "../database.ts";
import { startEmailChange } from "../email-change.ts";
import { parseEmail } from "../email-address.ts";
import { AuthFailure } from "../failure.ts";
import { readChallenge } from "../pkce.ts";
import { redirectTarget } from "../redirects.ts";
import { readBody, type RequestBody } from "../request-body.ts";
import { addressOf, type AuthEnv } from "../request-context.ts";
import { sendCode, type CodeMail } from "../send-code.ts";
import type { AuthServices } from "../services.ts";
import { createUser, findUserByEmail, type UserRow } from "../users.ts";

/** `POST /otp`, `/recover`, `/resend`: whoever asks gets `{}`, whoever owns the mailbox gets a code. */
export function codeRoutes(services: AuthServices): Hono<AuthEnv> {
  return new Hono<AuthEnv>()
    .post("/otp", async (context) => {
      const { body, request } = await readRequest(services, context);
      const user = await findOrCreate(services, body, request.email);
      // As hosted: the first code of a new e-mail is its confirmation.
      const isNew = user.email_confirmed_at === null;
      const kind = isNew ? CONFIRMATION : ({ purpose: "recovery_token", type: "magiclink" } as const);
      await sendCode(services, { ...request, ...kind, userId: user.id });
      return context.json({});
    })
    .post("/recover", async (context) => {
      const { request } = await readRequest(services, context);
      const user = await findUserByEmail(services.db, request.email);
      if (user !== null)
        await sendCode(services, { ...request, userId: user.id, purpose: "recovery_token", type: "recovery" });
      return context.json({});
    })
    .post("/resend", async (context) => {
      const { body, request } = await readRequest(services, context);
      const user = await findUserByEmail(services.db, request.email);
      switch (body.text("type")) {
        case "signup":
          if (user !== null && user.email_confirmed_at === null) {
            await sendCode(services, { ...request, ...CONFIRMATION, userId: user.id });
          }
          break;
        case "email_change":
          if (user !== null && user.email_change) await resendEmailChange(services, request, user, user.email_change);
          break;
        default:
          throw new AuthFailure(400, "validation_failed", "Missing one of these types: signup, email_change");
      }
      return context.json({});
    });
}

const CONFIRMATION = { purpose: "confirmation_token", type: "signup" } as const;

/** What every request for a code says about its answer; counted against the limits. */
type CodeRequest = Pick<CodeMail, "email" | "redirectTo" | "challenge">;

async function readRequest(
  services: AuthServices,
  context: Context<AuthEnv>,
): Promise<{ body: RequestBody; request: CodeRequest }> {
  const body = await readBody(context);
  if (body.text("phone") !== null) throw new AuthFailure(400, "phone_provider_disabled", "Unsupported phone provider");
  const email = parseEmail(body.text("email"));
  const redirectTo = redirectTarget(services.settings, context.req.query("redirect_to") ?? null);
  const request = { email, redirectTo, challenge: readChallenge(body) };
  services.limits.takeMail({ email, address: addressOf(context) });
  return { body, request };
}

async function resendEmailChange(
  services: AuthServices,
  request: CodeRequest,
  user: UserRow,
  newEmail: string,
): Promise<void> {
  const mails = await inTransaction(services.db, (tx) =>
    startEmailChange(services, tx, { ...request, user, newEmail }),
  );
  for (const mail of mails) services.outbox.send(mail);
}

/** @throws AuthFailure `otp_disabled` when the client wants existing users only */
async function findOrCreate(services: AuthServices, body: RequestBody, email: string): Promise<UserRow> {
  const existing = await findUserByEmail(services.db, email);
  if (existing !== null) return existing;
  if (body.flag("create_user") === false) throw new AuthFailure(422, "otp_disabled", "Signups not allowed for otp");
  const userMetadata = body.object("data") ?? {};
  const created = await createUser(services.db, {
    email,
    passwordHash: null,
    confirmed: false,
    userMetadata,
    appMetadata: {},
  });
  const user = created ?? (await findUserByEmail(services.db, email));
  if (user === null) throw new AuthFailure(404, "user_not_found", "User not found");
  return user;
}
