import { createSecretKey } from "node:crypto";
import { AppError, UserId } from "@cortex/contracts";
import {
  decodeProtectedHeader,
  errors,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
  type JWTVerifyOptions,
} from "jose";
import { z } from "zod";

/** A user as a verified access token names them. */
export interface Identity {
  userId: string;
  email: string | null;
  /** When the token ends, in seconds since 1970. */
  expiresAt: number;
}

/** Clocks of the project and of this machine may differ by this much. */
const leewaySeconds = 30;

/** Hosted tokens have about 1 KB; beyond this nobody needs to look. */
const longestToken = 8 * 1024;

const seconds = z.int().nonnegative();

/**
 * What a token must say beyond its signature. `aud` is one string: a token for several audiences was not made for us. Role `authenticated` is
 * everybody who signed in (anonymous users too); `service_role` and `anon` are no users.
 */
const Claims = z.object({
  sub: UserId,
  email: z.string().optional(),
  aud: z.literal("authenticated"),
  role: z.literal("authenticated"),
  exp: seconds,
  iat: seconds,
});

export interface VerifyTokenOptions {
  issuer: string;
  keyFor: JWTVerifyGetKey;
  /** The legacy HS256 secret; null: HS256 is refused. */
  secret: string | null;
}

export type VerifyToken = (token: string) => Promise<Identity>;

const refused = (cause?: unknown) => new AppError("unauthenticated", "Not authenticated.", {}, { cause });

/**
 * Verifies Supabase access tokens. The algorithm chooses between two verifiers that share no key: ES256 and RS256 with the project's public
 * keys, HS256 with the configured secret only, so that a public key can never be taken for a secret.
 * @returns a function that throws AppError `unauthenticated` without a reason, or `unavailable` if no keys could be had
 */
export const createTokenVerifier = ({ issuer, keyFor, secret }: VerifyTokenOptions): VerifyToken => {
  const common: JWTVerifyOptions = {
    issuer,
    audience: "authenticated",
    requiredClaims: ["exp", "iat", "sub", "role"],
    clockTolerance: leewaySeconds,
  };
  const asymmetric: JWTVerifyOptions = { ...common, algorithms: ["ES256", "RS256"] };
  const symmetric: JWTVerifyOptions = { ...common, algorithms: ["HS256"] };
  const secretKey = secret === null ? null : createSecretKey(secret, "utf8");

  const payloadOf = async (token: string): Promise<JWTPayload> => {
    if (token.length > longestToken) throw refused();
    const { alg } = decodeProtectedHeader(token);
    if (alg !== "HS256") return (await jwtVerify(token, keyFor, asymmetric)).payload;
    if (secretKey === null) throw refused();
    return (await jwtVerify(token, secretKey, symmetric)).payload;
  };

  return async (token) => {
    try {
      const claims = Claims.parse(await payloadOf(token));
      if (claims.iat > Date.now() / 1_000 + leewaySeconds) throw refused();
      return { userId: claims.sub, email: claims.email ?? null, expiresAt: claims.exp };
    } catch (error) {
      if (error instanceof AppError) throw error;
      if (error instanceof errors.JOSEError || error instanceof z.ZodError || error instanceof TypeError)
        throw refused(error);
      throw error;
    }
  };
};
