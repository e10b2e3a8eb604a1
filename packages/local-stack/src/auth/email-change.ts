import type { Queryable } from "./database.ts";
import type { Mail } from "./outbox.ts";
import { type CodeMail, writeCodeMail } from "./send-code.ts";
import type { AuthServices } from "./services.ts";
import type { UserRow } from "./users.ts";

/**
 * Asks the owner of the new mailbox, and with confirmed e-mails the old one too, to confirm a change. Starts over each time: answers to
 * earlier mails no longer count, or the new mailbox could answer twice and stand for both.
 * @returns the mails to send once the transaction is committed
 */
export async function startEmailChange(
  deps: Pick<AuthServices, "secrets" | "settings">,
  tx: Queryable,
  input: Pick<CodeMail, "redirectTo" | "challenge"> & { user: UserRow; newEmail: string },
): Promise<Pick<Mail, "to" | "type" | "code" | "link">[]> {
  const { user, newEmail, redirectTo, challenge } = input;
  await tx.query(
    "update auth.users set email_change = $2, email_change_confirm_status = 0, updated_at = now() where id = $1",
    [user.id, newEmail],
  );
  const mail = { userId: user.id, type: "email_change", redirectTo, challenge } as const;
  const toNew = await writeCodeMail(deps, tx, { ...mail, purpose: "email_change_token_new", email: newEmail });
  if (!deps.settings.confirmEmail || user.email === null) return [toNew];
  const toOld = await writeCodeMail(deps, tx, { ...mail, purpose: "email_change_token_current", email: user.email });
  return [toOld, toNew];
}
