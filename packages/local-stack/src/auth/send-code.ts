import type { Queryable } from "./database.ts";
import { type CodePurpose, issueCode } from "./one-time-codes.ts";
import type { Mail, MailType } from "./outbox.ts";
import { type Challenge, PKCE_PREFIX, rememberChallenge } from "./pkce.ts";
import type { AuthServices } from "./services.ts";

export interface CodeMail {
  userId: string;
  purpose: CodePurpose;
  type: MailType;
  /** Recipient, in lower case. */
  email: string;
  /** Where the link leads in the end, already checked. */
  redirectTo: string;
  /** Of a client that will exchange the link's code itself; null for one that takes the session from the link. */
  challenge: Challenge | null;
}

/** Issues a code and writes its mail. The caller hands the mail to the outbox once its transaction is committed. */
export async function writeCodeMail(
  deps: Pick<AuthServices, "secrets" | "settings">,
  db: Queryable,
  input: CodeMail,
): Promise<Pick<Mail, "to" | "type" | "code" | "link">> {
  const { code, tokenHash } = await issueCode({ db, secrets: deps.secrets }, input);
  if (input.challenge !== null)
    await rememberChallenge(db, { userId: input.userId, challenge: input.challenge, type: input.type });
  const link = new URL(`${deps.settings.issuer}/verify`);
  link.searchParams.set("token", input.challenge === null ? tokenHash : PKCE_PREFIX + tokenHash);
  link.searchParams.set("type", input.type);
  link.searchParams.set("redirect_to", input.redirectTo);
  return { to: input.email, type: input.type, code, link: link.href };
}

/** Sends a code to a user. The caller has counted it by `limits.takeMail`. */
export async function sendCode(
  services: Pick<AuthServices, "db" | "outbox" | "secrets" | "settings">,
  input: CodeMail,
): Promise<void> {
  services.outbox.send(await writeCodeMail(services, services.db, input));
}
