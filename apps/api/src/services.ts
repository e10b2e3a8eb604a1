import { fileCatalogue, loadToolCatalogue, openLiveCatalogue } from "@cortex/agentpress/catalogue";
import type { RefreshDeps } from "@cortex/agents";
import { type Db, openDatabase, readDurability as readPostgresDurability } from "@cortex/db";
import {
  connectRedis,
  createEventLog,
  createStreamSlots,
  createSubscriber,
  createTails,
  type EventLog,
  publishStop,
  readDurability as readRedisDurability,
  type StreamSlots,
  type Tails,
} from "@cortex/events";
import { createSafeFetch } from "@cortex/egress";
import { createMcpSource, McpError, nameTools } from "@cortex/mcp";
import type { Lifetime, Logger } from "@cortex/observability";
import { createPreviewLinks, type PreviewLinks } from "@cortex/previews";
import { createProducer } from "@cortex/queue";
import {
  admitRuns,
  closeLog,
  type DecideApprovalDeps,
  type Deliver,
  type StartRunDeps,
  type StopRunDeps,
} from "@cortex/runs";
import { createVault, type Vault, VaultError } from "@cortex/secrets";
import { createBackground } from "./background.ts";
import { createArgumentsCheck } from "./edited-arguments.ts";
import type { ApiEnv } from "./env.ts";
import { createReadiness, type Readiness } from "./readiness.ts";
import { createRunChoices, type RunChoices } from "./run-choices.ts";
import { type StreamTimings, streamTimings } from "./stream/send-run.ts";
import { createProjectKeys } from "./tokens/project-keys.ts";
import { rememberTokens } from "./tokens/remember-tokens.ts";
import { createStreamTickets, type StreamTickets } from "./tokens/stream-ticket.ts";
import { createTokenVerifier, type VerifyToken } from "./tokens/verify-token.ts";

/** Everything that the routes may reach. */
export interface ApiServices {
  log: Logger;
  db: Db;
  verifyToken: VerifyToken;
  tickets: StreamTickets;
  start: StartRunDeps;
  stop: StopRunDeps;
  approvals: DecideApprovalDeps;
  choices: RunChoices;
  /** Null: no keys are set, and secrets are refused. */
  vault: Vault | null;
  mcp: Pick<RefreshDeps, "list" | "problemOf" | "nameTools">;
  eventLog: EventLog;
  tails: Tails;
  slots: StreamSlots;
  timings: StreamTimings;
  /** Aborted when the process is told to stop: streams end, their readers come back elsewhere. */
  closing: AbortSignal;
  readiness: Readiness;
  /** Null: this installation shows no ports. */
  previewLinks: PreviewLinks | null;
  /** Who signs the tokens of our users. */
  issuer: string;
  webOrigins: readonly string[];
}

/** Whoever comes back from a wait is one; the rest is the workers' business. */
const admissionBatch = 10;

/** Opens everything the API needs, in the order in which it must be closed last in, first out. Wiring only. */
export const openServices = async (
  env: ApiEnv,
  deps: { log: Logger; lifetime: Lifetime; closing: AbortSignal; timings?: Partial<StreamTimings> },
): Promise<ApiServices> => {
  const { log, lifetime, closing } = deps;
  const database = openDatabase({
    url: env.DATABASE_URL,
    poolSize: env.DATABASE_POOL_SIZE,
    prepare: env.DATABASE_PREPARE,
    name: "cortex-api",
    // Longer than the longest statement of its role (5 s), so that a slow answer is not taken for none.
    silenceMs: 6_000,
    log,
  });
  lifetime.opened("database", () => database.close());
  const { db } = database;

  const redis = connectRedis({ url: env.REDIS_URL, name: "cortex-api", log });
  lifetime.opened("redis", () => redis.disconnect());
  const subscriber = createSubscriber({ redis, log });
  lifetime.opened("subscriber", () => subscriber.close());
  const eventLog = createEventLog(redis);
  const timings = { ...streamTimings, ...deps.timings };
  const slots = createStreamSlots({
    redis,
    log,
    timings: timings.slots,
    limits: { perRun: env.STREAMS_PER_RUN, perUser: env.STREAMS_PER_USER, perProcess: env.STREAMS_PER_PROCESS },
  });
  lifetime.opened("stream slots", () => slots.close());
  const producer = createProducer({ redisUrl: env.REDIS_URL, prefix: env.QUEUE_PREFIX, log });
  lifetime.opened("producer", () => producer.close());
  const background = createBackground(log);
  lifetime.opened("background", () => background.settled());

  const deliver: Deliver = (delivery) => producer.deliver(delivery);
  const issuer = env.SUPABASE_JWT_ISSUER ?? `${env.SUPABASE_URL.replace(/\/+$/, "")}/auth/v1`;
  const keys = createProjectKeys({ url: `${env.SUPABASE_URL.replace(/\/+$/, "")}/auth/v1/.well-known/jwks.json`, log });
  const { MODEL_BASE_URL: baseURL, MODEL_API_KEY: apiKey, MODEL_REFRESH_MS: everyMs } = env;
  const catalogue = baseURL && apiKey ? openLiveCatalogue({ log }, { baseURL, apiKey, everyMs }) : null;
  lifetime.opened("model catalogue", () => catalogue?.close());
  const choices = createRunChoices({
    defaultModel: env.DEFAULT_MODEL,
    models: env.MODELS ?? null,
    tools: await loadToolCatalogue(),
    catalogue: () => catalogue?.current() ?? fileCatalogue,
  });
  const mcp = createMcpSource({ fetch: createSafeFetch({ allow: env.EGRESS_ALLOW, log }), log });
  lifetime.opened("mcp servers", () => mcp.close());
  return {
    log,
    db,
    vault: env.SECRETS_KEYS === undefined ? null : createVault(env.SECRETS_KEYS),
    mcp: { list: mcp.list, problemOf: problemOfServer, nameTools },
    verifyToken: rememberTokens(
      createTokenVerifier({ issuer, keyFor: keys.keyFor, secret: env.SUPABASE_JWT_SECRET ?? null }),
    ),
    tickets: createStreamTickets(env.STREAM_TICKET_SECRET),
    start: {
      db,
      deliver,
      defaultModel: env.DEFAULT_MODEL,
      checkModel: choices.checkModel,
    },
    stop: {
      db,
      announceStop: (runId) => background.add("announce a stop", publishStop(redis, runId)),
      closeLog: (run) => background.add("close a log", closeLog({ db, log, eventLog }, run)),
    },
    approvals: {
      db,
      checkArguments: createArgumentsCheck(choices.tools),
      admitSoon: () => background.add("admit a run", admitRuns({ db, deliver }, { batch: admissionBatch })),
    },
    choices,
    eventLog,
    slots,
    tails: createTails({ log: eventLog, subscriber, logger: log }),
    timings,
    closing,
    readiness: createReadiness({
      postgres: () => readPostgresDurability(db),
      redis: () => readRedisDurability(redis),
      jwks: () => keys.load(),
    }),
    previewLinks:
      env.PREVIEW_URL === undefined || env.PREVIEW_SECRET === undefined
        ? null
        : createPreviewLinks({ secret: env.PREVIEW_SECRET, url: env.PREVIEW_URL }),
    issuer,
    webOrigins: env.WEB_ORIGINS,
  };
};

/** What a user may read of why a server could not be asked. */
const problemOfServer = (error: unknown): string | null => {
  if (error instanceof McpError) return error.message;
  return error instanceof VaultError ? "Its headers cannot be opened with the keys of this installation." : null;
};
