import { randomUUID } from "node:crypto";
import { findOne, type Queryable } from "./database.ts";
import { fingerprint, newRefreshToken } from "./refresh-token.ts";
import { USER_COLUMNS, type UserRow } from "./users.ts";

/** How somebody proved who they are; hosted's names. */
export type AuthMethod = "password" | "otp" | "anonymous";

export interface Session {
  id: string;
  aal: string;
  /** Newest first; seconds since 1970. */
  amr: { method: string; timestamp: number }[];
}

/** The client as a session remembers it. */
export interface ClientInfo {
  userAgent: string | null;
  /** IP of the peer. */
  address: string | null;
}

/** Columns that make a `Session`; `auth.sessions` must be called `s`. */
export const SESSION_COLUMNS = `
  s.id as session_id, coalesce(s.aal::text, 'aal1') as aal,
  (select coalesce(jsonb_agg(jsonb_build_object('method', a.authentication_method,
                                                'timestamp', floor(extract(epoch from a.updated_at))::bigint)
                             order by a.updated_at desc), '[]')
     from auth.mfa_amr_claims a where a.session_id = s.id) as amr`;

export interface SessionColumns {
  session_id: string;
  aal: string;
  amr: Session["amr"];
}

export function sessionOf(row: SessionColumns): Session {
  return { id: row.session_id, aal: row.aal, amr: row.amr };
}

/** Starts a session and notes the sign-in. @returns null when the user was deleted meanwhile */
export async function openSession(
  db: Queryable,
  input: { userId: string; method: AuthMethod; client: ClientInfo },
): Promise<{ session: Session; user: UserRow; refreshToken: string } | null> {
  const refreshToken = newRefreshToken();
  const sessionId = randomUUID();
  const opened = await findOne<{ timestamp: number }>(
    db,
    `with signed_in as (
       update auth.users set last_sign_in_at = now(), updated_at = now() where id = $2 returning id
     ), opened as (
       insert into auth.sessions (id, user_id, created_at, updated_at, aal, user_agent, ip)
       select $1, id, now(), now(), 'aal1', $3, $4 from signed_in returning id, user_id
     ), method as (
       insert into auth.mfa_amr_claims (id, session_id, created_at, updated_at, authentication_method)
       select gen_random_uuid(), id, now(), now(), $5 from opened
     ), token as (
       insert into auth.refresh_tokens (token, user_id, session_id, revoked, created_at, updated_at)
       select $6, user_id, id, false, now(), now() from opened
     )
     select floor(extract(epoch from now()))::int as timestamp from opened`,
    [sessionId, input.userId, input.client.userAgent, input.client.address, input.method, fingerprint(refreshToken)],
  );
  if (opened === null) return null;
  const user = await findOne<UserRow>(db, `select ${USER_COLUMNS} from auth.users u where u.id = $1`, [input.userId]);
  const session = { id: sessionId, aal: "aal1", amr: [{ method: input.method, timestamp: opened.timestamp }] };
  return user === null ? null : { session, user, refreshToken };
}

/** The user of a token and whether its session still lives. @returns null when the user is gone */
export async function findSignedIn(
  db: Queryable,
  input: { userId: string; sessionId: string },
): Promise<{ user: UserRow; sessionLives: boolean } | null> {
  const row = await findOne<UserRow & { session_lives: boolean }>(
    db,
    `select ${USER_COLUMNS},
            exists (select from auth.sessions s where s.id = $2 and s.user_id = u.id
                       and (s.not_after is null or s.not_after > now())) as session_lives
       from auth.users u where u.id = $1 and u.deleted_at is null`,
    [input.userId, input.sessionId],
  );
  return row === null ? null : { user: row, sessionLives: row.session_lives };
}

/** Which sessions of a user end: this one, all but this one, all. */
export type SignOutScope = "local" | "others" | "global";

/** Ends sessions with their refresh tokens; access tokens already given out live until they expire (this server refuses them at once). */
export async function endSessions(
  db: Queryable,
  input: { userId: string; sessionId: string; scope: SignOutScope },
): Promise<void> {
  const { userId, sessionId, scope } = input;
  switch (scope) {
    case "local":
      await db.query("delete from auth.sessions where user_id = $1 and id = $2", [userId, sessionId]);
      return;
    case "others":
      await db.query("delete from auth.sessions where user_id = $1 and id <> $2", [userId, sessionId]);
      return;
    case "global":
      await endAllSessions(db, userId);
  }
}

export async function endAllSessions(db: Queryable, userId: string): Promise<void> {
  await db.query("delete from auth.sessions where user_id = $1", [userId]);
}
