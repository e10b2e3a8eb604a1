import { join } from "node:path";
import type pg from "pg";
import type { ProcessPlan } from "../supervision/managed-process.ts";
import type { ModelEndpoint } from "./model-endpoint.ts";

/* What each application of the stack must be told, and how to see that it works: the one place that knows their settings. */

type Environment = Record<string, string | undefined>;

export type Addresses = {
  /** the checkout */
  root: string;
  home: string;
  ports: { api: number; web: number; supabase: number };
  ownerUrl: string;
  apiDatabaseUrl: string;
  workerDatabaseUrl: string;
  redisUrl: string;
  supabaseUrl: string;
  /** our auth server, not a project of Supabase */
  ownAuth: boolean;
  /** the secret that the API signs stream tickets with */
  streamTicketSecret: string;
  /** What seals the secrets of accounts, the same for API and workers. */
  secretsKeys: string;
  /** where ports of sandboxes are shown, and what signs their links */
  previews: { port: number; url: string; secret: string };
  model: ModelEndpoint;
};

/** Ctrl-C promises 5 s for everything; a worker hands its runs over in about a second. */
const SHUTDOWN_TIMEOUT_MS = 2_000;

export function authPlan(at: Addresses, environment: Environment): ProcessPlan {
  return {
    name: "auth",
    script: join(at.root, "packages/local-stack/src/bin/auth.ts"),
    env: {
      ...common(at, environment),
      AUTH_DATABASE_URL: at.ownerUrl,
      SUPABASE_PORT: String(at.ports.supabase),
      CORTEX_HOME: at.home,
      WEB_PORT: String(at.ports.web),
    },
    isReady: () => answers(`${at.supabaseUrl}/auth/v1/.well-known/jwks.json`),
  };
}

export function demoModelPlan(at: Addresses, environment: Environment): ProcessPlan {
  const { baseUrl, apiKey } = at.model;
  return {
    name: "demo-model",
    script: join(at.root, "packages/local-stack/src/bin/demo-model.ts"),
    env: { ...common(at, environment), DEMO_MODEL_PORT: new URL(baseUrl).port, DEMO_MODEL_API_KEY: apiKey },
    isReady: () => answers(`${baseUrl}/models`, { authorization: `Bearer ${apiKey}` }),
  };
}

export function apiPlan(at: Addresses, environment: Environment): ProcessPlan {
  return {
    name: "api",
    script: join(at.root, "apps/api/src/main.ts"),
    // As in docker/Dockerfile.
    flags: ["--max-semi-space-size=16"],
    env: {
      ...common(at, environment),
      ...(at.ownAuth ? onlyOurTokens : {}),
      WEB_ORIGINS: environment["WEB_ORIGINS"] || consoleOrigins(at.ports.web),
      API_PORT: String(at.ports.api),
      DATABASE_URL: at.apiDatabaseUrl,
      REDIS_URL: at.redisUrl,
      SUPABASE_URL: at.supabaseUrl,
      STREAM_TICKET_SECRET: at.streamTicketSecret,
      SECRETS_KEYS: at.secretsKeys,
      ...previews(at),
      PREVIEW_PORT: String(at.previews.port),
      ...oneUserIsEverybody(environment),
      DEFAULT_MODEL: at.model.defaultModel,
      // The demo model answers for itself only: any other name is refused at once instead of failing in its run.
      ...(at.model.kind === "demo" ? { MODELS: at.model.defaultModel } : {}),
      ...(at.model.kind === "litellm" ? { MODEL_BASE_URL: at.model.baseUrl, MODEL_API_KEY: at.model.apiKey } : {}),
      SHUTDOWN_TIMEOUT_MS: String(SHUTDOWN_TIMEOUT_MS),
    },
    isReady: () => answers(`http://127.0.0.1:${at.ports.api}/ready`),
  };
}

/**
 * @param input.owner a connection to ask whether the fleet has heard of the worker
 * @param input.since a time of the database before the first worker was started
 */
export function workerPlan(
  at: Addresses,
  environment: Environment,
  input: { number: number; concurrency: number | null; owner: pg.Pool; since: Date },
): ProcessPlan {
  return {
    name: `worker-${input.number}`,
    script: join(at.root, "apps/worker/src/main.ts"),
    env: {
      ...common(at, environment),
      DATABASE_URL: at.workerDatabaseUrl,
      REDIS_URL: at.redisUrl,
      MODEL_BASE_URL: at.model.baseUrl,
      MODEL_API_KEY: at.model.apiKey,
      SECRETS_KEYS: at.secretsKeys,
      TAVILY_API_KEY: environment["TAVILY_API_KEY"],
      BRAVE_API_KEY: environment["BRAVE_API_KEY"],
      LANGFUSE_SECRET_KEY: environment["LANGFUSE_SECRET_KEY"],
      OTLP_TRACES_HEADERS: environment["OTLP_TRACES_HEADERS"],
      ...previews(at),
      SANDBOX_HOME: environment["SANDBOX_HOME"] || join(at.home, "sandboxes"),
      SHUTDOWN_TIMEOUT_MS: String(SHUTDOWN_TIMEOUT_MS),
      ...(input.concurrency === null ? {} : { WORKER_CONCURRENCY: String(input.concurrency) }),
    },
    isReady: async () => {
      const sql = "select count(*)::int as alive from cortex.workers where heartbeat_at > $1 and not draining";
      const { rows } = await input.owner.query<{ alive: number }>(sql, [input.since]);
      return (rows[0]?.alive ?? 0) >= input.number;
    },
  };
}

const previews = (at: Addresses): Environment => ({ PREVIEW_URL: at.previews.url, PREVIEW_SECRET: at.previews.secret });

/** Our auth server signs with ES256 under its own address: settings for another project would open a second door. */
const onlyOurTokens: Environment = { SUPABASE_JWT_SECRET: undefined, SUPABASE_JWT_ISSUER: undefined };

/** Bounds that keep people from each other are in the way of the one person who is here. */
const oneUserIsEverybody = (environment: Environment): Environment => ({
  STREAMS_PER_RUN: environment["STREAMS_PER_RUN"] || "500",
  STREAMS_PER_USER: environment["STREAMS_PER_USER"] || "2000",
});

/** Browsers take these for two sites. */
function consoleOrigins(port: number): string {
  return `http://localhost:${port},http://127.0.0.1:${port}`;
}

/**
 * What the person set, without the keys and secrets: each application gets its own credentials by name, never everybody's.
 * With Node's cache of compiled modules a later start takes half the time.
 */
function common(at: Addresses, environment: Environment): Environment {
  const {
    OPENAI_API_KEY: _openai,
    LITELLM_API_KEY: _litellm,
    STREAM_TICKET_SECRET: _tickets,
    SECRETS_KEYS: _keys,
    DATABASE_URL: _owner,
    SUPABASE_SECRET_KEY: _supabase,
    TAVILY_API_KEY: _tavily,
    BRAVE_API_KEY: _brave,
    LANGFUSE_SECRET_KEY: _langfuse,
    OTLP_TRACES_HEADERS: _collector,
    PREVIEW_SECRET: _previews,
    ...rest
  } = environment;
  return { NODE_COMPILE_CACHE: join(at.home, "cache/node"), ...rest };
}

/** Does `url` answer with a 2xx? A refused connection is a no. */
async function answers(url: string, headers: Record<string, string> = {}): Promise<boolean> {
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(2_000) });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // not listening yet
  }
}
