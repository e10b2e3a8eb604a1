import type { Queryable } from "./database.ts";
import { AuthFailure } from "./failure.ts";
import { forgetCodes } from "./one-time-codes.ts";
import type { JsonObject } from "./request-body.ts";
import { findUserByEmail } from "./users.ts";

/** The single steps by which a user changes. All of them belong into a transaction that locked the user. */

/** Merges into the user's metadata, key by key as hosted does; null removes a key. */
export async function mergeMetadata(
  tx: Queryable,
  input: { userId: string; column: "raw_user_meta_data" | "raw_app_meta_data"; changes: JsonObject },
): Promise<void> {
  const { userId, column, changes } = input;
  const removed = Object.keys(changes).filter((key) => changes[key] === null);
  await tx.query(
    `update auth.users set ${column} = (coalesce(${column}, '{}') || $2) - $3::text[], updated_at = now() where id = $1`,
    [userId, changes, removed],
  );
}

/** Sets the password and takes back what the old one allowed: codes under way, and all sessions but the one that asked. */
export async function setPassword(
  tx: Queryable,
  input: { userId: string; passwordHash: string; keepSessionId: string | null },
): Promise<void> {
  const { userId, passwordHash, keepSessionId } = input;
  await tx.query("update auth.users set encrypted_password = $2, updated_at = now() where id = $1", [
    userId,
    passwordHash,
  ]);
  await forgetCodes(tx, userId);
  await tx.query("delete from auth.sessions where user_id = $1 and id is distinct from $2", [userId, keepSessionId]);
}

/** The e-mail is the user's: they proved it by a code, or an admin vouches for it. */
export async function confirmEmail(tx: Queryable, userId: string): Promise<void> {
  await tx.query(
    `with identity as (
       update auth.identities set identity_data = identity_data || '{"email_verified": true}', updated_at = now()
        where user_id = $1 and provider = 'email'
     )
     update auth.users
        set email_confirmed_at = coalesce(email_confirmed_at, now()), updated_at = now(),
            raw_user_meta_data = coalesce(raw_user_meta_data, '{}') || '{"email_verified": true}'
      where id = $1`,
    [userId],
  );
}

/** Replaces the e-mail (or adds the first one of an anonymous user). @throws AuthFailure `email_exists` */
export async function changeEmail(
  tx: Queryable,
  input: { userId: string; email: string; verified: boolean },
): Promise<void> {
  await refuseTakenEmail(tx, input);
  const identity = { sub: input.userId, email: input.email, email_verified: input.verified, phone_verified: false };
  await tx.query(
    `with identity as (
       insert into auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
       values ($1::text, $1::uuid, $3, 'email', now(), now(), now())
       on conflict (provider_id, provider) do update
         set identity_data = auth.identities.identity_data || excluded.identity_data, updated_at = now()
     )
     update auth.users
        set email = $2, email_change = '', email_change_confirm_status = 0, updated_at = now(),
            is_anonymous = is_anonymous and not $4::boolean,
            raw_app_meta_data = case when raw_app_meta_data -> 'providers' ? 'email' then raw_app_meta_data
              else '{"provider": "email"}' || coalesce(raw_app_meta_data, '{}')
                   || jsonb_build_object('providers', coalesce(raw_app_meta_data -> 'providers', '[]') || '["email"]') end
      where id = $1::uuid`,
    [input.userId, input.email, identity, input.verified],
  );
  if (input.verified) await confirmEmail(tx, input.userId);
}

/** @throws AuthFailure `email_exists` when another user has it. The unique index has the last word, this one has the right code. */
export async function refuseTakenEmail(db: Queryable, input: { userId: string; email: string }): Promise<void> {
  const owner = await findUserByEmail(db, input.email);
  if (owner !== null && owner.id !== input.userId) throw emailExists();
}

export function emailExists(): AuthFailure {
  return new AuthFailure(422, "email_exists", "A user with this email address has already been registered");
}
