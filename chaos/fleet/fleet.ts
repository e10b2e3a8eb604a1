import { chmodSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Client, type ClientTiming, createClient } from "@cortex/client";
import { startWatchdog } from "@cortex/local-stack";
import { aGrant, aUser, createFaultProxy, type FaultProxy, quietPort } from "@cortex/testing";
import pg from "pg";
import { defineProcess, type FleetProcess } from "./fleet-process.ts";
import { type FleetPostgres, type FleetRedis, startFleetPostgres, startFleetRedis } from "./stores.ts";
import { type Timers, timersEnv } from "./timers.ts";
import { startTokenIssuer } from "./token-issuer.ts";

export interface FleetOptions {
  /** API processes; default 2. */
  apis?: number;
  /** Worker processes; default 2. */
  workers?: number;
  /** Runs that each worker executes at once; default 5. */
  concurrency?: number;
  /** Default: as shipped. */
  timers?: Timers;
  /** False: workers reach the stores directly and cannot be cut off, which spares this process half of its work. Default true. */
  workerLines?: boolean;
  /** More variables, for every life of every process of that kind. */
  env?: { api?: Record<string, string>; worker?: Record<string, string> };
  /** Where data, logs and sandboxes go; removed at the end. Default: a new folder of the system's. */
  folder?: string;
  /** Default `virtual`: works everywhere, and its workspaces are folders on this machine that an oracle can read. */
  sandbox?: "virtual" | "local";
}

/** Somebody with a token. */
export interface Person {
  userId: string;
  accountId: string;
  token: string;
}

export interface FleetApi extends FleetProcess {
  port: number;
  /** The way by which clients come: to cut them off. */
  line: FaultProxy;
}

export interface FleetWorker extends FleetProcess {
  /** WORKER_ID of its present life. */
  id(): string;
  /** Its way to Redis and to Postgres. */
  redis: FaultProxy;
  postgres: FaultProxy;
}

/** A whole Cortex of real processes: stores, model, APIs, workers. Each may be killed, frozen, cut off and started again. */
export interface Fleet {
  folder: string;
  postgres: FleetPostgres;
  redis: FleetRedis;
  /** A pool as the superuser: the oracle. Queries fail while Postgres is down; see `ask`. */
  owner: pg.Pool;
  /** Asks Postgres as its owner, again and again while it is down. */
  ask<Row extends pg.QueryResultRow>(sql: string, values?: unknown[]): Promise<Row[]>;
  model: FleetProcess;
  apis: FleetApi[];
  workers: FleetWorker[];
  /** Where sandboxes keep their files. */
  sandboxes: string;
  /** A user on a plan that bills and limits nothing else, with credit. */
  person(): Promise<Person>;
  /** The public client of that person: each request goes to the next API, through its line. */
  client(person: Person, timing?: Partial<ClientTiming>): Client;
  close(): Promise<void>;
}

/** What startFleet has opened so far, to be closed last in, first out. */
type Closers = (() => Promise<unknown>)[];

const closeAll = async (closers: Closers): Promise<void> => {
  for (let close = closers.pop(); close; close = closers.pop()) await close();
};

/** Starts all of it (2–4 s). A watchdog ends every process, however this one ends. */
export const startFleet = async (options: FleetOptions = {}): Promise<Fleet> => {
  const folder = options.folder ?? mkdtempSync(join(tmpdir(), "cortex-chaos-"));
  chmodSync(folder, 0o755); // as root, Postgres runs as another user, who must get in
  const watchdog = startWatchdog({ removeAtEnd: [folder] });
  const closers: Closers = [
    async () => {
      rmSync(folder, { recursive: true, force: true });
      await watchdog.close();
    },
  ];
  try {
    return await open({ ...options, folder }, watchdog, closers);
  } catch (error) {
    await closeAll(closers);
    throw error;
  }
};

const open = async (
  options: FleetOptions & { folder: string },
  watchdog: ReturnType<typeof startWatchdog>,
  closers: Closers,
): Promise<Fleet> => {
  const { folder } = options;
  const logs = join(folder, "logs");
  mkdirSync(logs);
  const stores = {
    folder,
    watch: (pid: number, signal: "SIGQUIT" | "SIGKILL") => watchdog.watch({ pid, signal, stage: "store" }),
  };
  const [postgres, redis, issuer, modelPort] = await Promise.all([
    startFleetPostgres(stores),
    startFleetRedis(stores),
    startTokenIssuer(),
    quietPort(),
  ]);
  closers.push(() => Promise.all([postgres.stop(), redis.stop(), issuer.close()]));
  const owner = new pg.Pool({ connectionString: postgres.ownerUrl, max: 4, application_name: "chaos-oracle" });
  owner.on("error", () => {}); // Postgres is restarted under it: meant so
  closers.push(() => owner.end());

  const processes = {
    folder: logs,
    spawned: (pid: number) => watchdog.watch({ pid, signal: "SIGKILL", stage: "application" }),
  };
  const common = { LOG_LEVEL: "info", NODE_COMPILE_CACHE: join(folder, "cache") };
  const model = defineProcess(processes, {
    name: "model",
    script: "packages/local-stack/src/bin/demo-model.ts",
    env: () => ({ ...common, DEMO_MODEL_PORT: String(modelPort), DEMO_MODEL_API_KEY: "chaos" }),
    ready: /demo model ready/,
  });
  const ticketSecret = crypto.randomUUID();
  const anApi = async (number: number): Promise<FleetApi> => {
    const port = await quietPort();
    const api = defineProcess(processes, {
      name: `api-${number}`,
      script: "apps/api/src/main.ts",
      // As in docker/Dockerfile.
      flags: ["--max-semi-space-size=16"],
      env: () => ({
        ...common,
        API_PORT: String(port),
        DATABASE_URL: postgres.apiUrl,
        REDIS_URL: redis.url,
        SUPABASE_URL: issuer.url,
        DEFAULT_MODEL: "demo",
        STREAM_TICKET_SECRET: ticketSecret,
        // One user is everybody.
        STREAMS_PER_RUN: "500",
        STREAMS_PER_USER: "2000",
        ...options.env?.api,
      }),
      ready: /api ready/,
    });
    return { ...api, port, line: await createFaultProxy({ host: "127.0.0.1", port }) };
  };
  const sandboxes = join(folder, "sandboxes");
  const cuttable = options.workerLines ?? true;
  const aWorker = async (number: number): Promise<FleetWorker> => {
    const redisLine = await createFaultProxy({ host: "127.0.0.1", port: redis.port });
    const postgresLine = await createFaultProxy({ host: "127.0.0.1", port: postgres.port });
    const idOf = (life: number): string => `w${number}.${life}`;
    const worker = defineProcess(processes, {
      name: `worker-${number}`,
      script: "apps/worker/src/main.ts",
      env: (life) => ({
        ...common,
        DATABASE_URL: cuttable ? postgresLine.through(postgres.workerUrl) : postgres.workerUrl,
        REDIS_URL: cuttable ? redisLine.through(redis.url) : redis.url,
        MODEL_BASE_URL: `http://127.0.0.1:${modelPort}/v1`,
        MODEL_API_KEY: "chaos",
        SANDBOX_PROVIDER: options.sandbox ?? "virtual",
        SANDBOX_HOME: sandboxes,
        WORKER_ID: idOf(life),
        WORKER_CONCURRENCY: String(options.concurrency ?? 5),
        ...(options.timers ? timersEnv(options.timers) : {}),
        ...options.env?.worker,
      }),
      ready: /worker ready/,
    });
    return { ...worker, id: () => idOf(worker.lives()), redis: redisLine, postgres: postgresLine };
  };
  const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
  const apis = await Promise.all(numbers(options.apis ?? 2).map(anApi));
  const workers = await Promise.all(numbers(options.workers ?? 2).map(aWorker));
  const lines = [...apis.map(({ line }) => line), ...workers.flatMap((worker) => [worker.redis, worker.postgres])];
  closers.push(() => Promise.all(lines.map((line) => line.close())));
  const all: FleetProcess[] = [model, ...apis, ...workers];
  closers.push(() => Promise.all(all.map((one) => one.kill())));
  await model.start();
  await Promise.all([...apis, ...workers].map((one) => one.start()));

  let turn = 0;
  /** Each request to the next API, as a load balancer would. */
  const balanced: typeof globalThis.fetch = (input, init) => {
    const api = apis[turn++ % apis.length];
    const { pathname, search } = new URL(input instanceof Request ? input.url : input);
    return globalThis.fetch(`http://127.0.0.1:${api?.line.port ?? 0}${pathname}${search}`, init);
  };
  return {
    folder,
    postgres,
    redis,
    owner,
    ask: (sql, values) => askPatiently(owner, sql, values),
    model,
    apis,
    workers,
    sandboxes,
    person: async () => {
      await owner.query(billedPlan);
      const user = await aUser(owner, { planId: "chaos" });
      await aGrant(owner, { accountId: user.accountId, usd: "1000" });
      return { userId: user.userId, accountId: user.accountId, token: issuer.token(user.userId) };
    },
    client: (person, timing) =>
      createClient({ baseUrl: "http://fleet", token: person.token, fetch: balanced, ...(timing ? { timing } : {}) }),
    close: () => closeAll(closers),
  };
};

/** Nothing is free and nothing is limited, so that money moves in every run and no run waits for another of its account. */
const billedPlan = `
  insert into cortex.plans (id, name, unlimited, reserve_usd, max_parallel_runs, max_active_runs, models)
  values ('chaos', 'Chaos', false, 0.05, null, null, null) on conflict do nothing`;

/** Postgres is back within this time, or something is wrong with the test. */
const patienceMs = 60_000;

const askPatiently = async <Row extends pg.QueryResultRow>(
  owner: pg.Pool,
  sql: string,
  values: unknown[] = [],
): Promise<Row[]> => {
  const end = performance.now() + patienceMs;
  for (;;) {
    try {
      return (await owner.query<Row>(sql, values)).rows;
    } catch (error) {
      // A mistake of ours is none of Postgres' restart: those have a class 08 or 57, or no code of Postgres at all.
      const code = error instanceof pg.DatabaseError ? (error.code ?? "") : "57";
      if (!/^(08|57)/.test(code) || performance.now() > end) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, 50);
      });
    }
  }
};
