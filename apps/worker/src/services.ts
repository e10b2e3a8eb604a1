import { hostname } from "node:os";
import { type LiveCatalogue, openLiveCatalogue } from "@cortex/agentpress/catalogue";
import {
  type ContextSettings,
  createOpenAiModel,
  discoverTools,
  type Model,
  type Tool,
  type Web,
} from "@cortex/agentpress";
import { type Db, openDatabase } from "@cortex/db";
import {
  connectRedis,
  type ControlListener,
  createControlListener,
  createEventLog,
  type EventLog,
} from "@cortex/events";
import { createSafeFetch } from "@cortex/egress";
import { createMcpSource, type McpSource } from "@cortex/mcp";
import type { Lifetime, Logger } from "@cortex/observability";
import { createProducer, type Producer } from "@cortex/queue";
import {
  createLeaseKeeper,
  defaultRunSettings,
  type Deliver,
  type LeaseKeeper,
  type Outlast,
  type RunSettings,
  withdrawWorker,
} from "@cortex/runs";
import { createVault, type Vault } from "@cortex/secrets";
import { openSandboxLazily, type OpenSandbox, probeSandbox } from "@cortex/sandbox";
import { openTraceTargets, type TraceTarget } from "@cortex/traces";
import { type Browsers, openBrowsers } from "./browsers.ts";
import type { WorkerEnv } from "./env.ts";
import { openPreviews, type Previews } from "./previews.ts";
import { traceSettings } from "./trace-settings.ts";
import { openWayOut } from "./way-out.ts";

/** Everything that the jobs of a worker may reach. */
export interface WorkerServices {
  workerId: string;
  settings: RunSettings;
  log: Logger;
  db: Db;
  eventLog: EventLog;
  control: ControlListener;
  leases: LeaseKeeper;
  deliver: Deliver;
  jobState: Producer["jobState"];
  /** Deliveries that wait in the queue. */
  waitingJobs: Producer["waiting"];
  model: Model;
  /** What is known about models at the moment. */
  catalogue: LiveCatalogue;
  tools: readonly Tool[];
  context: ContextSettings;
  traceTargets: readonly TraceTarget[];
  web: Web;
  mcp: McpSource;
  /** Null: no keys are set. */
  vault: Vault | null;
  openSandbox: (project: { accountId: string; projectId: string }, outlast: Outlast) => OpenSandbox;
  browsers: Browsers;
  /** Null: this installation has none. */
  previews: Previews | null;
}

/**
 * Opens everything a worker needs, in the order in which it must be closed last in, first out. Wiring only; neither Postgres nor Redis need be
 * there yet.
 */
export const openServices = async (
  env: WorkerEnv,
  deps: { log: Logger; lifetime: Lifetime },
): Promise<WorkerServices> => {
  const { log, lifetime } = deps;
  const workerId = env.WORKER_ID ?? `${hostname()}-${process.pid}-${crypto.randomUUID().slice(0, 8)}`;
  const settings: RunSettings = {
    ...defaultRunSettings,
    leaseMs: env.RUN_LEASE_MS,
    heartbeatMs: env.RUN_HEARTBEAT_MS,
    giveUpAfterMs: Math.floor((env.RUN_LEASE_MS * 2) / 3),
    sweepMs: env.RUN_SWEEP_MS,
    maxRunMs: env.RUN_MAX_MS,
    maxWaitMs: env.RUN_MAX_WAIT_MS,
    maxApprovalMs: env.APPROVAL_MAX_WAIT_MS,
  };
  const database = openDatabase({
    url: env.DATABASE_URL,
    poolSize: env.DATABASE_POOL_SIZE - 1,
    prepare: env.DATABASE_PREPARE,
    name: "cortex-worker",
    log,
  });
  lifetime.opened("database", () => database.close());

  // Of its own: a pool that everybody waits for must not delay the leases. Given up early enough for further tries before a run is.
  const heart = openDatabase({
    url: env.DATABASE_URL,
    poolSize: 1,
    prepare: env.DATABASE_PREPARE,
    name: "cortex-worker-heartbeat",
    silenceMs: Math.max(1_000, Math.floor(settings.giveUpAfterMs / 3)),
    log,
  });
  lifetime.opened("connection of the heartbeat", () => heart.close());

  // After the last heartbeat, which would put the worker back on the list.
  lifetime.opened("place in the fleet", () => withdrawWorker(database.db, { workerId }));

  const redis = connectRedis({ url: env.REDIS_URL, name: "cortex-worker", log });
  lifetime.opened("redis", () => redis.disconnect());
  const producer = createProducer({ redisUrl: env.REDIS_URL, prefix: env.QUEUE_PREFIX, log });
  lifetime.opened("producer", () => producer.close());

  const model = createOpenAiModel({
    baseURL: env.MODEL_BASE_URL,
    apiKey: env.MODEL_API_KEY,
    timeouts: { firstByteMs: env.MODEL_FIRST_BYTE_MS, idleMs: env.MODEL_IDLE_MS, totalMs: env.MODEL_TOTAL_MS },
    log,
  });
  lifetime.opened("model", () => model.close());
  const catalogue = openLiveCatalogue(
    { log },
    { baseURL: env.MODEL_BASE_URL, apiKey: env.MODEL_API_KEY, everyMs: env.MODEL_REFRESH_MS },
  );
  lifetime.opened("model catalogue", () => catalogue.close());
  const { provider } = await probeSandbox(
    { log },
    { home: env.SANDBOX_HOME, choice: env.SANDBOX_PROVIDER, searchPath: env.PATH },
  );
  lifetime.opened("sandboxes", () => provider.close());

  const mcp = createMcpSource({ fetch: createSafeFetch({ allow: env.EGRESS_ALLOW, log }), log });
  lifetime.opened("mcp servers", () => mcp.close());
  const traceTargets = openTraceTargets(traceSettings(env));
  for (const target of traceTargets) lifetime.opened(`traces to ${target.name}`, () => target.close());

  const browsers = await openBrowsers(env, { log });
  lifetime.opened("browsers", () => browsers.close());
  const { PREVIEW_URL: url, PREVIEW_SECRET: secret } = env;
  const previews =
    url === undefined || secret === undefined
      ? null
      : await openPreviews(
          { db: database.db, workerId, log },
          { url, secret, listen: env.PREVIEW_LISTEN, advertise: env.PREVIEW_ADVERTISE ?? null },
        );
  lifetime.opened("previews", () => previews?.close());

  const leases = createLeaseKeeper({ db: heart.db, log }, { workerId, concurrency: env.WORKER_CONCURRENCY, settings });
  lifetime.opened("leases", () => leases.close());
  const listening = connectRedis({ url: env.REDIS_URL, name: "cortex-worker-control", log });
  const control = createControlListener({ redis: listening, log }, ({ runId }) => leases.stop(runId));
  lifetime.opened("control", () => {
    control.close();
    listening.disconnect();
  });
  return {
    workerId,
    settings,
    log,
    db: database.db,
    eventLog: createEventLog(redis),
    control,
    leases,
    deliver: (delivery) => producer.deliver(delivery),
    jobState: (delivery) => producer.jobState(delivery),
    waitingJobs: () => producer.waiting(),
    model,
    catalogue,
    traceTargets,
    mcp,
    vault: env.SECRETS_KEYS === undefined ? null : createVault(env.SECRETS_KEYS),
    tools: await discoverTools(),
    context: {
      assumedWindow: env.CONTEXT_ASSUMED_WINDOW,
      ...(env.CONTEXT_SUMMARY_MODEL === undefined ? {} : { summaryModel: env.CONTEXT_SUMMARY_MODEL }),
    },
    web: openWayOut(env, { log }),
    browsers,
    previews,
    openSandbox: (project, outlast) => openSandboxLazily({ db: database.db, provider, log, outlast }, project),
  };
};
