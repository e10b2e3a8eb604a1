import type { Logger } from "@cortex/observability";
import { findOne, type Queryable } from "./database.ts";
import { AuthFailure } from "./failure.ts";
import { fingerprint, successorOf } from "./refresh-token.ts";
import type { AuthSecrets } from "./secrets.ts";
import {
  type ClientInfo,
  endSessions,
  type Session,
  SESSION_COLUMNS,
  type SessionColumns,
  sessionOf,
} from "./sessions.ts";
import { isBanned, USER_COLUMNS, type UserRow } from "./users.ts";

/**
 * How long a spent refresh token may be shown again. A client that sends a refresh twice at once, or lost the answer, does so
 * within its own timeout; whoever shows it later is a thief, or was robbed.
 */
const REUSE_GRACE_SECONDS = 10;

/** Spent tokens are remembered this long, to recognise reuse; later they are simply unknown. */
const SPENT_KEPT = "24 hours";

/** Refreshes that one straggler may be behind, and lost races; far more than fit into the grace by honest clients. */
const MAX_HOPS = 8;

type TokenRow = UserRow & SessionColumns & { spent: boolean; spent_seconds_ago: number; session_over: boolean };

export interface Refreshed {
  user: UserRow;
  session: Session;
  refreshToken: string;
}

/**
 * Exchanges a refresh token. Each works once; within the grace a spent one leads to the newest token of its session, without
 * spending that, so all honest stragglers end up with the same one. Later use ends the session for everybody who holds it.
 * @throws AuthFailure `refresh_token_not_found`, `refresh_token_already_used`, `user_banned` or `session_expired`
 */
export async function refreshSession(
  deps: { db: Queryable; secrets: AuthSecrets; log: Logger },
  input: { refreshToken: string; client: ClientInfo },
): Promise<Refreshed> {
  let token = input.refreshToken;
  for (let hop = 0; hop < MAX_HOPS; hop += 1) {
    const row = await findToken(deps.db, token);
    if (row === null)
      throw new AuthFailure(400, "refresh_token_not_found", "Invalid Refresh Token: Refresh Token Not Found");
    const successor = successorOf(deps.secrets, token);
    const verdict = judge(row, { isStraggler: token !== input.refreshToken, now: new Date() });
    switch (verdict) {
      case "banned":
        throw new AuthFailure(400, "user_banned", "Invalid Refresh Token: User Banned");
      case "expired":
        throw new AuthFailure(400, "session_expired", "Invalid Refresh Token: Session Expired");
      case "reused":
        await endSessions(deps.db, { userId: row.id, sessionId: row.session_id, scope: "local" });
        deps.log.warn({ user_id: row.id, session_id: row.session_id }, "refresh token reused: session ended");
        throw new AuthFailure(400, "refresh_token_already_used", "Invalid Refresh Token: Already Used");
      case "give_again":
        return { user: row, session: sessionOf(row), refreshToken: token };
      case "follow":
        token = successor;
        break;
      case "rotate":
        if (await rotate(deps.db, { sessionId: row.session_id, token, successor, client: input.client })) {
          return { user: row, session: sessionOf(row), refreshToken: successor };
        }
        // Somebody else spent it between the two statements: look again, now it is a spent token within its grace.
        break;
    }
  }
  throw new AuthFailure(
    429,
    "over_request_rate_limit",
    "Too many concurrent token refresh requests on the same session",
  );
}

type RefreshVerdict = "rotate" | "follow" | "give_again" | "reused" | "banned" | "expired";

function judge(row: TokenRow, input: { isStraggler: boolean; now: Date }): RefreshVerdict {
  if (row.spent && row.spent_seconds_ago > REUSE_GRACE_SECONDS) return "reused";
  if (isBanned(row, input.now) || row.deleted_at !== null) return "banned";
  if (row.session_over) return "expired";
  if (row.spent) return "follow";
  return input.isStraggler ? "give_again" : "rotate";
}

function findToken(db: Queryable, token: string): Promise<TokenRow | null> {
  return findOne<TokenRow>(
    db,
    `select ${USER_COLUMNS}, ${SESSION_COLUMNS}, r.revoked as spent,
            extract(epoch from now() - r.updated_at)::float8 as spent_seconds_ago,
            coalesce(s.not_after <= now(), false) as session_over
       from auth.refresh_tokens r join auth.sessions s on s.id = r.session_id join auth.users u on u.id = s.user_id
      where r.token = $1`,
    [fingerprint(token)],
  );
}

/**
 * Spends `token` and stores `successor`, in one statement. The session's row is locked first, as sign-out does, so that the two cannot
 * deadlock. @returns false when the token was no longer there to spend
 */
async function rotate(
  db: Queryable,
  input: { sessionId: string; token: string; successor: string; client: ClientInfo },
): Promise<boolean> {
  const rotated = await findOne(
    db,
    `with live as (
       select id from auth.sessions where id = $1 for update
     ), spent as (
       update auth.refresh_tokens r set revoked = true, updated_at = now()
         from live where r.session_id = live.id and r.token = $2 and not r.revoked returning r.user_id
     ), next as (
       insert into auth.refresh_tokens (token, parent, user_id, session_id, revoked, created_at, updated_at)
       select $3, $2, user_id, $1, false, now(), now() from spent
     ), forgotten as (
       delete from auth.refresh_tokens
        where session_id = $1 and revoked and updated_at < now() - interval '${SPENT_KEPT}' and exists (select from spent)
     )
     update auth.sessions set refreshed_at = now() at time zone 'utc', updated_at = now(), user_agent = $4, ip = $5
      where id = $1 and exists (select from spent) returning id`,
    [
      input.sessionId,
      fingerprint(input.token),
      fingerprint(input.successor),
      input.client.userAgent,
      input.client.address,
    ],
  );
  return rotated !== null;
}
