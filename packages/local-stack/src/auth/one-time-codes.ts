import { randomInt, randomUUID } from "node:crypto";
import { findOne, type Queryable } from "./database.ts";
import type { AuthSecrets } from "./secrets.ts";

/** How long a code or link works. */
const LIFETIME = "1 hour";

/** What a code is for, as `auth.one_time_tokens.token_type` says it. One living code per user and purpose. */
export type CodePurpose =
  | "confirmation_token"
  | "recovery_token"
  | "email_change_token_new"
  | "email_change_token_current";

/** The column of `auth.users` that tells when the last code of a purpose was sent. */
const SENT_AT_COLUMN: Record<CodePurpose, string> = {
  confirmation_token: "confirmation_sent_at",
  recovery_token: "recovery_sent_at",
  email_change_token_new: "email_change_sent_at",
  email_change_token_current: "email_change_sent_at",
};

export interface OneTimeCode {
  /** Six digits, for people. */
  code: string;
  /** For the link; leads to the same token as e-mail and code together. */
  tokenHash: string;
}

/**
 * The hash of e-mail and code. Derived with the stack's secret (hosted takes a plain SHA-224), so that nobody can turn the 1,000,000
 * possible codes of an e-mail into links and try those, past the limit of guesses per e-mail.
 */
export function hashCode(secrets: AuthSecrets, email: string, code: string): string {
  return secrets.derive("one-time-code", `${email}\0${code}`);
}

/** Makes a new code and forgets the user's earlier one for that purpose. @param email where the code is sent, in lower case */
export async function issueCode(
  deps: { db: Queryable; secrets: AuthSecrets },
  input: { userId: string; purpose: CodePurpose; email: string },
): Promise<OneTimeCode> {
  const code = String(randomInt(0, 1_000_000)).padStart(6, "0");
  const tokenHash = hashCode(deps.secrets, input.email, code);
  await deps.db.query(
    `with issued as (
       insert into auth.one_time_tokens (id, user_id, token_type, token_hash, relates_to, created_at, updated_at)
       values ($1, $2, $3, $4, $5, now() at time zone 'utc', now() at time zone 'utc')
       on conflict (user_id, token_type) do update set token_hash = excluded.token_hash, relates_to = excluded.relates_to,
         created_at = excluded.created_at, updated_at = excluded.updated_at
     )
     update auth.users set ${SENT_AT_COLUMN[input.purpose]} = now() where id = $2`,
    [randomUUID(), input.userId, input.purpose, tokenHash, input.email],
  );
  return { code, tokenHash };
}

/** Uses a code up: the same code cannot succeed twice, however many try at once. @returns null for wrong, old and used ones */
export function consumeCode(
  db: Queryable,
  input: { tokenHash: string; purposes: CodePurpose[] },
): Promise<{ user_id: string; purpose: CodePurpose } | null> {
  return findOne(
    db,
    `delete from auth.one_time_tokens
      where token_hash = $1 and token_type::text = any($2) and created_at > (now() at time zone 'utc') - interval '${LIFETIME}'
     returning user_id, token_type as purpose`,
    [input.tokenHash, input.purposes],
  );
}

/** Forgets all codes of a user: after one was used, and when the password changes. */
export async function forgetCodes(db: Queryable, userId: string): Promise<void> {
  await db.query("delete from auth.one_time_tokens where user_id = $1", [userId]);
}
