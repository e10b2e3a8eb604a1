import { createLifetime, type Logger, silentLogger } from "@cortex/observability";
import {
  aUser,
  createTestDatabase,
  createTestRedis,
  type TestDatabase,
  type TestRedis,
  type TestUser,
} from "@cortex/testing";
import { createApp } from "../app.ts";
import { readEnv } from "../env.ts";
import type { Api } from "../request-context.ts";
import { listen } from "../server.ts";
import { type ApiServices, openServices } from "../services.ts";
import type { StreamTimings } from "../stream/send-run.ts";
import { type SigningProject, startSigningProject } from "./signing-project.ts";

export interface Person extends TestUser {
  token: string;
}

export interface CallOptions {
  as?: Person;
  /** Sent as JSON. */
  body?: unknown;
  headers?: Record<string, string>;
}

export interface ApiUnderTest {
  url: string;
  app: Api;
  services: ApiServices;
  database: TestDatabase;
  redis: TestRedis;
  project: SigningProject;
  /** What the keys of its queue begin with. */
  queuePrefix: string;
  /** A user with a token. */
  person(input?: { planId?: string }): Promise<Person>;
  /** One request below `/api`; the answer's JSON, or null if there is none. */
  call(
    method: string,
    path: string,
    options?: CallOptions,
  ): Promise<{ status: number; headers: Headers; body: unknown }>;
  /** As a SIGTERM does it. */
  close(): Promise<boolean>;
}

/** What the tickets of an API under test are signed with. */
export const streamTicketSecret = "a secret of a test, thirty-two and more";

/** The API as it runs, over real HTTP, with a database, a Redis and a signing project of its own. */
export const startApiUnderTest = async (
  options: {
    env?: Record<string, string>;
    timings?: Partial<StreamTimings>;
    log?: Logger;
    redis?: TestRedis;
    /** Puts something between the API and its Postgres. */
    postgres?: (url: string) => string;
  } = {},
): Promise<ApiUnderTest> => {
  const log = options.log ?? silentLogger();
  const [database, redis, project] = await Promise.all([
    createTestDatabase(),
    options.redis ?? createTestRedis(),
    startSigningProject(),
  ]);
  const lifetime = createLifetime({ log, timeoutMs: 10_000 });
  lifetime.opened("database", () => database.drop());
  lifetime.opened("redis", () => redis.drop());
  lifetime.opened("project", () => project.close());
  const env = readEnv({
    DATABASE_URL: options.postgres?.(database.apiUrl) ?? database.apiUrl,
    REDIS_URL: redis.url,
    SUPABASE_URL: project.url,
    STREAM_TICKET_SECRET: streamTicketSecret,
    STREAMS_PER_RUN: "100",
    DEFAULT_MODEL: "demo",
    DATABASE_POOL_SIZE: "6",
    PREVIEW_URL: "http://{label}.localhost",
    PREVIEW_SECRET: streamTicketSecret,
    QUEUE_PREFIX: `test-${crypto.randomUUID()}`,
    ...options.env,
  });
  const closing = new AbortController();
  const timings = options.timings ? { timings: options.timings } : {};
  const services = await openServices(env, { log, lifetime, closing: closing.signal, ...timings });
  const app = createApp(services);
  const server = await listen({ app, host: "127.0.0.1", port: 0, log });
  lifetime.opened("server", () => {
    closing.abort();
    return server.close();
  });
  const url = `http://127.0.0.1:${server.port}`;

  return {
    url,
    app,
    services,
    database,
    redis,
    project,
    queuePrefix: env.QUEUE_PREFIX,
    person: async (input) => {
      const user = await aUser(database.owner, input);
      return { ...user, token: await project.token({ sub: user.userId, email: user.email }) };
    },
    call: async (method: string, path: string, { as, body, headers }: CallOptions = {}) => {
      const response = await fetch(`${url}/api${path}`, {
        method,
        headers: {
          ...(as ? { authorization: `Bearer ${as.token}` } : {}),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        headers: response.headers,
        body: text === "" ? null : JSON.parse(text),
      };
    },
    close: () => lifetime.close(),
  };
};
