import type { Queryable } from "./database.ts";
import { AuthFailure } from "./failure.ts";
import { type CodePurpose, consumeCode, forgetCodes } from "./one-time-codes.ts";
import type { AuthSettings } from "./services.ts";
import { changeEmail, confirmEmail } from "./user-changes.ts";
import { isBanned, lockUser, type UserRow } from "./users.ts";

/** What `verifyOtp` may call a code, and which codes each name fits. */
const PURPOSES: Record<string, CodePurpose[]> = {
  signup: ["confirmation_token"],
  invite: ["confirmation_token"],
  magiclink: ["recovery_token"],
  recovery: ["recovery_token"],
  email: ["confirmation_token", "recovery_token"],
  email_change: ["email_change_token_new", "email_change_token_current"],
};

/** The purposes a verification type fits. @throws AuthFailure `validation_failed` for an unknown type */
export function purposesOf(type: string | null): CodePurpose[] {
  if (type === null) throw new AuthFailure(400, "validation_failed", "Verify requires a verification type");
  const purposes = Object.hasOwn(PURPOSES, type) ? PURPOSES[type] : undefined;
  if (purposes === undefined) throw new AuthFailure(400, "validation_failed", "Unsupported verification type");
  return purposes;
}

/** `one_of_two`: of a change that needs both mailboxes, the first has answered. */
export type Verified = { outcome: "signed_in" | "one_of_two"; userId: string };

/**
 * Uses a code up and does what it stands for. Run it in a transaction together with what follows, so that a failure later on
 * does not burn the code.
 * @throws AuthFailure `otp_expired` (wrong, old or used: one answer for all), `user_banned`, `email_exists`
 */
export async function verifyCode(
  tx: Queryable,
  input: { tokenHash: string; purposes: CodePurpose[]; settings: AuthSettings },
): Promise<Verified> {
  const used = await consumeCode(tx, input);
  const user = used === null ? null : await lockUser(tx, used.user_id);
  if (used === null || user === null || user.deleted_at !== null) {
    throw new AuthFailure(403, "otp_expired", "Token has expired or is invalid");
  }
  if (isBanned(user, new Date())) throw new AuthFailure(403, "user_banned", "User is banned");
  switch (used.purpose) {
    case "confirmation_token":
    case "recovery_token":
      await forgetCodes(tx, user.id);
      await confirmEmail(tx, user.id);
      return { outcome: "signed_in", userId: user.id };
    case "email_change_token_new":
    case "email_change_token_current":
      return confirmEmailChange(tx, user, input.settings);
  }
}

/** With confirmed e-mails, a change needs the old and the new mailbox; otherwise the new one alone. */
async function confirmEmailChange(tx: Queryable, user: UserRow, settings: AuthSettings): Promise<Verified> {
  const needsBoth = settings.confirmEmail && user.email !== null;
  if (needsBoth && (user.email_change_confirm_status ?? 0) === 0) {
    await tx.query("update auth.users set email_change_confirm_status = 1 where id = $1", [user.id]);
    return { outcome: "one_of_two", userId: user.id };
  }
  if (!user.email_change) throw new AuthFailure(403, "otp_expired", "Token has expired or is invalid");
  await changeEmail(tx, { userId: user.id, email: user.email_change, verified: true });
  await forgetCodes(tx, user.id);
  return { outcome: "signed_in", userId: user.id };
}
