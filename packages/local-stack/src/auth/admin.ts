import { createHash } from "node:crypto";
import { findOne, type Queryable } from "./database.ts";
import { forgetCodes } from "./one-time-codes.ts";
import { endAllSessions } from "./sessions.ts";
import { USER_COLUMNS, type UserRow } from "./users.ts";

/** What only the holder of the secret key does to users. */

/** A page of all users, newest first, and how many there are. */
export async function listUsers(
  db: Queryable,
  page: { number: number; size: number },
): Promise<{ users: UserRow[]; total: number }> {
  const { rows } = await db.query<UserRow>(
    `select ${USER_COLUMNS} from auth.users u order by u.created_at desc nulls last, u.id limit $1 offset $2`,
    [page.size, (page.number - 1) * page.size],
  );
  const counted = await findOne<{ total: number }>(db, "select count(*)::int as total from auth.users", []);
  return { users: rows, total: counted?.total ?? 0 };
}

/** Keeps a user out until then (null: lets them in again). Sessions stay, and are refused while the ban lasts. */
export async function banUser(tx: Queryable, input: { userId: string; until: Date | null }): Promise<void> {
  await tx.query("update auth.users set banned_until = $2, updated_at = now() where id = $1", [
    input.userId,
    input.until,
  ]);
}

export async function setRole(tx: Queryable, input: { userId: string; role: string }): Promise<void> {
  await tx.query("update auth.users set role = $2, updated_at = now() where id = $1", [input.userId, input.role]);
}

/** Removes the user with everything that refers to them. @returns false when there was no such user */
export async function deleteUser(db: Queryable, userId: string): Promise<boolean> {
  return (await findOne(db, "delete from auth.users where id = $1 returning id", [userId])) !== null;
}

/** Keeps the row, so that what refers to the user stays whole, and removes what made it a person: e-mail, password, metadata, sessions. */
export async function softDeleteUser(tx: Queryable, user: UserRow): Promise<void> {
  const hidden = (text: string) => createHash("sha256").update(`${user.id}${text}`).digest("base64url");
  await tx.query(
    `with identity as (
       update auth.identities set identity_data = '{}', provider_id = $3, updated_at = now() where user_id = $1
     )
     update auth.users set email = $2, phone = null, encrypted_password = null, email_change = '', raw_user_meta_data = '{}',
            raw_app_meta_data = '{}', deleted_at = coalesce(deleted_at, now()), updated_at = now()
      where id = $1`,
    [user.id, user.email === null ? null : hidden(user.email), hidden("identity")],
  );
  await forgetCodes(tx, user.id);
  await endAllSessions(tx, user.id);
}
