import type { JsonObject } from "./request-body.ts";
import type { AuthServices } from "./services.ts";
import type { AuthMethod, ClientInfo, Session } from "./sessions.ts";
import { openSession } from "./sessions.ts";
import type { Queryable } from "./database.ts";
import { AuthFailure } from "./failure.ts";
import { userView } from "./user-view.ts";
import type { UserRow } from "./users.ts";

/** A session as the token endpoint answers it. */
export interface SessionResponse extends JsonObject {
  access_token: string;
  token_type: "bearer";
  /** Seconds. */
  expires_in: number;
  /** Seconds since 1970. */
  expires_at: number;
  refresh_token: string;
  user: JsonObject;
}

/** Signs the access token of a session and puts the answer together. */
export async function sessionResponse(
  services: Pick<AuthServices, "accessTokens" | "settings">,
  granted: { user: UserRow; session: Session; refreshToken: string },
): Promise<SessionResponse> {
  const { token, expiresAt } = await services.accessTokens.sign(granted.user, granted.session);
  return {
    access_token: token,
    token_type: "bearer",
    expires_in: services.settings.tokenLifetimeSeconds,
    expires_at: expiresAt,
    refresh_token: granted.refreshToken,
    user: userView(granted.user),
  };
}

/** Opens a session and answers with it. @throws AuthFailure `user_not_found` when the user was deleted meanwhile */
export async function signInResponse(
  services: Pick<AuthServices, "accessTokens" | "settings">,
  db: Queryable,
  input: { userId: string; method: AuthMethod; client: ClientInfo },
): Promise<SessionResponse> {
  const opened = await openSession(db, input);
  if (opened === null) throw new AuthFailure(403, "user_not_found", "User not found");
  return sessionResponse(services, opened);
}
