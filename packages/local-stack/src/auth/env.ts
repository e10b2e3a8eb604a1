import { resolve } from "node:path";
import { z } from "zod";
import { StackError } from "../stack-error.ts";
import type { AuthServerOptions } from "./server.ts";

const Port = z.coerce.number().int().min(0).max(65_535);

/** A setting that is set to nothing is not set. */
const optional = <Schema extends z.ZodType>(schema: Schema) =>
  z.preprocess((value) => (value === "" ? undefined : value), schema.optional());

/** Every variable of the auth server. @public read by the test of `.env.example` */
export const AuthEnv = z.object({
  /** Where clients reach the server; part of the issuer. Default 54321. */
  SUPABASE_PORT: optional(Port),
  /** A connection that may read and write schema `auth`. */
  AUTH_DATABASE_URL: z.url({ protocol: /^postgres(ql)?$/ }),
  /** The data home. Default `.cortex`. */
  CORTEX_HOME: optional(z.string()),
  /** The console's port: its pages are the site. Default 3000. */
  WEB_PORT: optional(Port),
  /** Default: the console. */
  AUTH_SITE_URL: optional(z.url({ protocol: /^https?$/ })),
  /** Comma-separated. Default: the console by both its names. */
  AUTH_ALLOWED_ORIGINS: optional(z.string()),
  AUTH_TOKEN_LIFETIME_SECONDS: optional(z.coerce.number().int().positive()),
  /** `true`: a new e-mail must be confirmed before its first sign-in. */
  AUTH_CONFIRM_EMAIL: optional(z.enum(["true", "false"])),
});

/** The settings of the auth server's process. @throws StackError `bad_setting` that names every setting that makes no sense */
export function readAuthEnv(environment: NodeJS.ProcessEnv): Omit<AuthServerOptions, "log"> {
  const parsed = AuthEnv.safeParse(environment);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`);
    throw new StackError("bad_setting", `The auth server's settings make no sense. ${problems.join("; ")}.`);
  }
  const env = parsed.data;
  const webPort = env.WEB_PORT ?? 3000;
  const console = [`http://localhost:${webPort}`, `http://127.0.0.1:${webPort}`];
  const lifetime = env.AUTH_TOKEN_LIFETIME_SECONDS;
  return {
    databaseUrl: env.AUTH_DATABASE_URL,
    port: env.SUPABASE_PORT ?? 54_321,
    home: resolve(env.CORTEX_HOME ?? ".cortex"),
    siteUrl: env.AUTH_SITE_URL ?? `http://localhost:${webPort}`,
    allowedOrigins: env.AUTH_ALLOWED_ORIGINS?.split(",").map((origin) => origin.trim()) ?? console,
    ...(lifetime === undefined ? {} : { tokenLifetimeSeconds: lifetime }),
    confirmEmail: env.AUTH_CONFIRM_EMAIL === "true",
  };
}
