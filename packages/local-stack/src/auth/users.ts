import { randomUUID } from "node:crypto";
import { findOne, type Queryable } from "./database.ts";
import type { JsonObject } from "./request-body.ts";

/** One way to sign in, as `jsonb` gives it: times are strings. */
export interface IdentityRow {
  id: string;
  provider_id: string;
  user_id: string;
  identity_data: JsonObject;
  provider: string;
  email: string | null;
  last_sign_in_at: string | null;
  created_at: string | null;
  updated_at: string | null;
}

/** A row of `auth.users` with its identities. `encrypted_password` never leaves the process. */
export interface UserRow {
  id: string;
  aud: string | null;
  role: string | null;
  email: string | null;
  phone: string | null;
  encrypted_password: string | null;
  email_confirmed_at: Date | null;
  phone_confirmed_at: Date | null;
  invited_at: Date | null;
  confirmation_sent_at: Date | null;
  recovery_sent_at: Date | null;
  email_change: string | null;
  email_change_sent_at: Date | null;
  email_change_confirm_status: number | null;
  last_sign_in_at: Date | null;
  raw_app_meta_data: JsonObject | null;
  raw_user_meta_data: JsonObject | null;
  is_anonymous: boolean;
  banned_until: Date | null;
  deleted_at: Date | null;
  created_at: Date | null;
  updated_at: Date | null;
  identities: IdentityRow[];
}

/** What every query that returns a `UserRow` selects; `auth.users` must be called `u`. */
export const USER_COLUMNS = `
  u.id, u.aud, u.role, u.email, u.phone, u.encrypted_password, u.email_confirmed_at, u.phone_confirmed_at, u.invited_at,
  u.confirmation_sent_at, u.recovery_sent_at, u.email_change, u.email_change_sent_at, u.email_change_confirm_status,
  u.last_sign_in_at, u.raw_app_meta_data, u.raw_user_meta_data, u.is_anonymous, u.banned_until, u.deleted_at,
  u.created_at, u.updated_at,
  (select coalesce(jsonb_agg(to_jsonb(i) order by i.created_at), '[]') from auth.identities i where i.user_id = u.id) as identities`;

/** Hosted marks the rows of its only instance with the nil uuid and looks for it. */
const INSTANCE = "00000000-0000-0000-0000-000000000000";

/** @param email in lower case */
export function findUserByEmail(db: Queryable, email: string): Promise<UserRow | null> {
  return findOne<UserRow>(db, `select ${USER_COLUMNS} from auth.users u where u.email = $1 and not u.is_sso_user`, [
    email,
  ]);
}

export function findUserById(db: Queryable, userId: string): Promise<UserRow | null> {
  return findOne<UserRow>(db, `select ${USER_COLUMNS} from auth.users u where u.id = $1`, [userId]);
}

/** The row, locked until the transaction ends: whoever changes a user in several steps starts with it. */
export function lockUser(tx: Queryable, userId: string): Promise<UserRow | null> {
  return findOne<UserRow>(tx, `select ${USER_COLUMNS} from auth.users u where u.id = $1 for update of u`, [userId]);
}

export interface NewUser {
  id?: string;
  /** In lower case; null for an anonymous user. */
  email: string | null;
  passwordHash: string | null;
  confirmed: boolean;
  role?: string;
  userMetadata: JsonObject;
  appMetadata: JsonObject;
  bannedUntil?: Date | null;
}

/** Creates a user with its e-mail identity in one statement. @returns null when the e-mail (or the id) is taken */
export async function createUser(db: Queryable, user: NewUser): Promise<UserRow | null> {
  const provider = user.email === null ? {} : { provider: "email", providers: ["email"] };
  const created = await findOne<{ id: string }>(
    db,
    `with created as (
       insert into auth.users (instance_id, id, aud, role, email, encrypted_password, email_confirmed_at, raw_app_meta_data,
                               raw_user_meta_data, is_anonymous, banned_until, created_at, updated_at)
       values ('${INSTANCE}', $1, 'authenticated', $2, $3::text, $4, case when $5 then now() end, $6, $7, $3::text is null, $8, now(), now())
       on conflict do nothing returning id, email
     ), identity as (
       insert into auth.identities (provider_id, user_id, identity_data, provider, last_sign_in_at, created_at, updated_at)
       select id::text, id,
              jsonb_build_object('sub', id, 'email', email, 'email_verified', $5::boolean, 'phone_verified', false),
              'email', now(), now(), now()
         from created where email is not null
     )
     select id from created`,
    [
      user.id ?? randomUUID(),
      user.role ?? "authenticated",
      user.email,
      user.passwordHash,
      user.confirmed,
      { ...provider, ...user.appMetadata },
      user.confirmed ? { ...user.userMetadata, email_verified: true } : user.userMetadata,
      user.bannedUntil ?? null,
    ],
  );
  return created === null ? null : findUserById(db, created.id);
}

/** Is the user kept out at this moment? */
export function isBanned(user: UserRow, now: Date): boolean {
  return user.banned_until !== null && user.banned_until > now;
}
