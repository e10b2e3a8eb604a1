import { createLocalJWKSet, errors, type JWK, type JWTPayload, jwtVerify, SignJWT } from "jose";
import { AuthFailure } from "./failure.ts";
import type { SigningKeys } from "./signing-keys.ts";
import type { Session } from "./sessions.ts";
import type { UserRow } from "./users.ts";

/** Whoever is signed in; anonymous users too (the claim `is_anonymous` tells them apart). */
const AUDIENCE = "authenticated";

export interface SignedToken {
  token: string;
  /** Seconds since 1970. */
  expiresAt: number;
}

/** What the server needs of a verified token. */
export interface TokenSubject {
  userId: string;
  sessionId: string;
}

export interface AccessTokens {
  sign(user: UserRow, session: Session): Promise<SignedToken>;
  /** @throws AuthFailure `bad_jwt` for anything but a living token of this server */
  verify(token: string): Promise<TokenSubject>;
  /** The public keys, for `/.well-known/jwks.json`. */
  jwks(): { keys: JWK[] };
  /** From now on sign with these keys; tokens of keys that are still published stay valid. */
  useKeys(keys: SigningKeys): void;
}

/** ES256 access tokens with the claims of hosted Supabase Auth. */
export function createAccessTokens(input: {
  issuer: string;
  lifetimeSeconds: number;
  keys: SigningKeys;
}): AccessTokens {
  let keys = input.keys;
  let keyOf = createLocalJWKSet({ keys: keys.published });

  return {
    async sign(user, session) {
      const issuedAt = Math.floor(Date.now() / 1000);
      const expiresAt = issuedAt + input.lifetimeSeconds;
      const token = await new SignJWT({ ...hostedClaims(user, session), iat: issuedAt, exp: expiresAt })
        .setProtectedHeader({ alg: "ES256", kid: keys.current.kid, typ: "JWT" })
        .setIssuer(input.issuer)
        .setAudience(AUDIENCE)
        .sign(keys.current.privateKey);
      return { token, expiresAt };
    },
    async verify(token) {
      const { payload } = await jwtVerify(token, keyOf, {
        algorithms: ["ES256"],
        issuer: input.issuer,
        audience: AUDIENCE,
        requiredClaims: ["sub", "session_id", "exp", "iat"],
      }).catch(refuse);
      return subjectOf(payload);
    },
    jwks: () => ({ keys: keys.published }),
    useKeys(next) {
      keys = next;
      keyOf = createLocalJWKSet({ keys: next.published });
    },
  };
}

function hostedClaims(user: UserRow, session: Session): JWTPayload {
  return {
    sub: user.id,
    email: user.email ?? "",
    phone: user.phone ?? "",
    app_metadata: user.raw_app_meta_data ?? {},
    user_metadata: user.raw_user_meta_data ?? {},
    role: user.role ?? AUDIENCE,
    aal: session.aal,
    amr: session.amr,
    session_id: session.id,
    is_anonymous: user.is_anonymous,
  };
}

function subjectOf({ sub, session_id: sessionId }: JWTPayload): TokenSubject {
  if (sub === undefined || typeof sessionId !== "string") throw badToken();
  return { userId: sub, sessionId };
}

function refuse(error: unknown): never {
  throw error instanceof errors.JOSEError ? badToken(error.code) : error;
}

function badToken(reason = "ERR_JWT_CLAIMS"): AuthFailure {
  return new AuthFailure(403, "bad_jwt", `invalid JWT: unable to parse or verify signature, ${reason}`);
}
