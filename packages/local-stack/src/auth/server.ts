import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { getRequestListener } from "@hono/node-server";
import type { Logger } from "@cortex/observability";
import type { Hono } from "hono";
import pg from "pg";
import { StackError, systemErrorCode } from "../stack-error.ts";
import { createAccessTokens } from "./access-token.ts";
import { createAuthApp } from "./app.ts";
import { createAuthLimits } from "./limits.ts";
import { refuseUnsafeSurroundings } from "./loopback.ts";
import { createOutbox } from "./outbox.ts";
import { createPasswords } from "./passwords.ts";
import type { AuthEnv } from "./request-context.ts";
import { findPgcryptoSchema } from "./prepared-database.ts";
import { openSecrets } from "./secrets.ts";
import type { AuthSettings } from "./services.ts";
import { loadSigningKeys, MAX_TOKEN_LIFETIME_SECONDS, rotateSigningKeys } from "./signing-keys.ts";

export interface AuthServerOptions {
  /** A connection that may read and write schema `auth`; that schema exists already. */
  databaseUrl: string;
  /** 0 lets the system choose. The port is part of the issuer, so a stack keeps the one it has. */
  port: number;
  /** Loopback only. Default 127.0.0.1. */
  host?: string;
  /** The stack's data home; keys live in its folder `auth`. */
  home: string;
  /** Where links lead when nothing else is asked for. */
  siteUrl: string;
  /** Other origins whose pages may call, and which links may lead to. */
  allowedOrigins: string[];
  /** Life of an access token. Default one hour, at most a week. */
  tokenLifetimeSeconds?: number;
  /** Must a new e-mail be confirmed before its first sign-in? Default no, as in a local Supabase. */
  confirmEmail?: boolean;
  log: Logger;
}

export interface AuthServer {
  /** Without a path: what clients take for SUPABASE_URL. */
  url: string;
  publishableKey: string;
  secretKey: string;
  /** Signs with a new key from now on; tokens of the old one stay valid until they expire. */
  rotateSigningKeys(): Promise<void>;
  close(): Promise<void>;
}

/** For everything but bcrypt. Queries take about a millisecond, so few connections serve many clients. */
const POOL_SIZE = 6;
/** Waiting for bcrypt is no fault: 1,000 sign-ups at once (the limit) take 1,000 × 50 ms / 2 = 25 s < 60 s. */
const PASSWORD_WAIT_MS = 60_000;
/** For bcrypt, which keeps a core busy: more at once than a small machine has cores would only starve the rest. */
const PASSWORD_POOL_SIZE = 2;
/** Longer than any statement here takes (bcrypt 50 ms), short enough that a client still waits: 5 s < 10 s. */
const STATEMENT_TIMEOUT_MS = 5_000;
/** A new connection costs 10 ms and plans its statements anew; a person clicks more often than once a minute. */
const IDLE_CONNECTION_MS = 60_000;
/** A request that has not arrived after this long never will. */
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Starts the stand-in for hosted Supabase Auth on the stack's own Postgres: real `@supabase/supabase-js` works against it.
 * @throws StackError `bad_setting` (production, not loopback, nonsense settings), `not_ready` (no auth schema), `port_taken`,
 * `data_folder` (broken keys); nothing stays open then
 */
export async function startAuthServer(options: AuthServerOptions): Promise<AuthServer> {
  const host = options.host ?? "127.0.0.1";
  const tokenLifetimeSeconds = options.tokenLifetimeSeconds ?? 3600;
  refuseUnsafeSurroundings(host);
  const siteUrl = parseUrl(options.siteUrl, "the site's address").href;
  const allowedOrigins = new Set(options.allowedOrigins.map((origin) => parseUrl(origin, "an allowed origin").origin));
  if (
    !(
      Number.isInteger(tokenLifetimeSeconds) &&
      tokenLifetimeSeconds >= 1 &&
      tokenLifetimeSeconds <= MAX_TOKEN_LIFETIME_SECONDS
    )
  ) {
    throw new StackError("bad_setting", `A token may live 1 to ${MAX_TOKEN_LIFETIME_SECONDS} seconds.`);
  }

  const { log } = options;
  const db = openPool(options, { name: "cortex-auth", size: POOL_SIZE, waitMs: STATEMENT_TIMEOUT_MS });
  const passwordPool = openPool(options, {
    name: "cortex-auth-passwords",
    size: PASSWORD_POOL_SIZE,
    waitMs: PASSWORD_WAIT_MS,
  });
  const closePools = async () => void (await Promise.all([db.end(), passwordPool.end()]));
  try {
    const folder = join(options.home, "auth");
    const secrets = openSecrets(folder);
    const passwords = await createPasswords(passwordPool, await findPgcryptoSchema(db));
    const keys = await loadSigningKeys(folder);

    let app: Hono<AuthEnv> | null = null;
    // The issuer holds the port, which only listening tells; nothing can arrive before this tick ends.
    const answer = getRequestListener(
      (request, env) => app?.fetch(request, env) ?? new Response(null, { status: 503 }),
    );
    const server = createServer(
      { requestTimeout: REQUEST_TIMEOUT_MS },
      (request, response) => void answer(request, response),
    );
    const url = await listen(server, host, options.port);
    const issuer = `${url}/auth/v1`;
    const settings: AuthSettings = {
      issuer,
      siteUrl,
      allowedOrigins,
      tokenLifetimeSeconds,
      confirmEmail: options.confirmEmail ?? false,
    };
    const accessTokens = createAccessTokens({ issuer, lifetimeSeconds: tokenLifetimeSeconds, keys });
    const outbox = createOutbox(log);
    app = createAuthApp({ db, passwords, accessTokens, secrets, outbox, limits: createAuthLimits(), settings, log });

    return {
      url,
      publishableKey: secrets.publishableKey,
      secretKey: secrets.secretKey,
      rotateSigningKeys: async () => accessTokens.useKeys(await rotateSigningKeys(folder, new Date())),
      close: async () => {
        await closeServer(server);
        await closePools();
      },
    };
  } catch (error) {
    await closePools();
    throw error;
  }
}

function parseUrl(text: string, what: string): URL {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return new URL(text);
  throw new StackError("bad_setting", `${what} must be an http(s) URL, not "${text}".`);
}

function openPool(
  { databaseUrl, log }: AuthServerOptions,
  { name, size, waitMs }: { name: string; size: number; waitMs: number },
): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: size,
    application_name: name,
    connectionTimeoutMillis: waitMs,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    idleTimeoutMillis: IDLE_CONNECTION_MS,
    keepAlive: true,
  });
  // Without the handlers a restart of Postgres would end this process.
  const lost = (error: Error) => log.warn({ err: error }, "lost a database connection");
  pool.on("error", lost);
  pool.on("connect", (client) => void client.on("error", lost));
  return pool;
}

/** @returns the address clients use */
async function listen(server: Server, host: string, port: number): Promise<string> {
  server.listen(port, host);
  try {
    await once(server, "listening");
  } catch (error) {
    if (systemErrorCode(error) !== "EADDRINUSE") throw error;
    throw new StackError("port_taken", `Port ${port} is taken: stop what uses it, or set SUPABASE_PORT.`, {
      cause: error,
    });
  }
  const address = server.address();
  const actualPort = typeof address === "object" && address !== null ? address.port : port;
  return `http://${host.includes(":") ? `[${host}]` : host}:${actualPort}`;
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  // Requests here are short; one that does not end in time is cut, so that a stop is never late.
  const cut = setTimeout(() => server.closeAllConnections(), 1_000);
  await closed;
  clearTimeout(cut);
}
