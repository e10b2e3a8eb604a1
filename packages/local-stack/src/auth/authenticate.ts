import type { Context } from "hono";
import { AuthFailure } from "./failure.ts";
import { type AuthEnv, bearerOf } from "./request-context.ts";
import type { AuthServices } from "./services.ts";
import { findSignedIn } from "./sessions.ts";
import { isBanned, type UserRow } from "./users.ts";

/** Whoever is signed in, as the database knows them now: a valid token of an ended session is refused here. */
export interface SignedIn {
  user: UserRow;
  sessionId: string;
}

/** @throws AuthFailure `no_authorization`, `bad_jwt`, `user_not_found`, `session_not_found` or `user_banned` */
export async function authenticate(services: AuthServices, context: Context<AuthEnv>): Promise<SignedIn> {
  const token = bearerOf(context);
  // Without a session supabase-js sends its API key here.
  if (token === null || token.startsWith("sb_")) {
    throw new AuthFailure(401, "no_authorization", "This endpoint requires a valid Bearer token");
  }
  const subject = await services.accessTokens.verify(token);
  const found = await findSignedIn(services.db, subject);
  if (found === null) throw new AuthFailure(403, "user_not_found", "User from sub claim in JWT does not exist");
  if (!found.sessionLives) {
    throw new AuthFailure(403, "session_not_found", "Session from session_id claim in JWT does not exist");
  }
  if (isBanned(found.user, new Date())) throw new AuthFailure(403, "user_banned", "User is banned");
  return { user: found.user, sessionId: subject.sessionId };
}
