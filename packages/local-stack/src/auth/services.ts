import type { Logger } from "@cortex/observability";
import type { AccessTokens } from "./access-token.ts";
import type { AuthDatabase } from "./database.ts";
import type { AuthLimits } from "./limits.ts";
import type { Outbox } from "./outbox.ts";
import type { Passwords } from "./passwords.ts";
import type { AuthSecrets } from "./secrets.ts";

/** How this server behaves; fixed at its start. */
export interface AuthSettings {
  /** `http://127.0.0.1:54321/auth/v1`: the claim `iss` and the base of all links. */
  issuer: string;
  siteUrl: string;
  /** Other origins that pages may call from and links may lead to. */
  allowedOrigins: ReadonlySet<string>;
  tokenLifetimeSeconds: number;
  /** Must a new e-mail be confirmed before its first sign-in? Off by default, as in a local Supabase. */
  confirmEmail: boolean;
}

/** Everything a route may use. */
export interface AuthServices {
  db: AuthDatabase;
  passwords: Passwords;
  accessTokens: AccessTokens;
  secrets: AuthSecrets;
  outbox: Outbox;
  limits: AuthLimits;
  settings: AuthSettings;
  log: Logger;
}
