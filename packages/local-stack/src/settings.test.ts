import { refusalOf } from "@cortex/testing";
import { expect, test } from "vitest";
import { readSettings } from "./settings.ts";

const folders = { root: "/checkout", cwd: "/somewhere" };

test("nothing set: a stack of our own on the documented ports", () => {
  expect(readSettings({}, folders)).toEqual({
    home: "/checkout/.cortex",
    ports: { api: 8000, web: 3000, supabase: 54321, postgres: 15432, redis: 16380 },
    previewPort: null,
    workers: 1,
    workerConcurrency: null,
    databaseUrl: null,
    redisUrl: null,
    supabase: null,
    model: "demo",
  });
});

test("everything set", () => {
  const env = {
    CORTEX_HOME: "data",
    API_PORT: "9000",
    WORKERS: "3",
    WORKER_CONCURRENCY: "8",
    DATABASE_URL: "postgresql://postgres:secret@db.example.com:5432/postgres",
    REDIS_URL: "rediss://:secret@redis.example.com:6380",
    SUPABASE_URL: "https://project.supabase.co/",
    SUPABASE_ANON_KEY: "anon",
    LITELLM_BASE_URL: "http://127.0.0.1:4000",
    LITELLM_API_KEY: "sk-1",
  };
  expect(readSettings(env, folders)).toMatchObject({
    home: "/somewhere/data",
    ports: { api: 9000, supabase: 54321 },
    workers: 3,
    workerConcurrency: 8,
    databaseUrl: env.DATABASE_URL,
    redisUrl: env.REDIS_URL,
    supabase: { url: "https://project.supabase.co", publishableKey: "anon", secretKey: null },
    model: "litellm",
  });
});

test("a key of OpenAI is enough for its models; empty is like unset", () => {
  expect(readSettings({ OPENAI_API_KEY: "sk-1", API_PORT: "" }, folders)).toMatchObject({
    model: "openai",
    ports: { api: 8000 },
  });
});

test.each([
  [{ API_PORT: "banana" }, 'API_PORT must be a whole number from 1 to 65535, not "banana".'],
  [{ POSTGRES_PORT: "70000" }, "POSTGRES_PORT must be a whole number from 1 to 65535"],
  [{ REDIS_PORT: "-1" }, "REDIS_PORT must be"],
  [{ SUPABASE_PORT: "8000.5" }, "SUPABASE_PORT must be"],
  [{ WORKERS: "0" }, "WORKERS must be a whole number from 1 to 64"],
  [{ API_PORT: "54321" }, "API_PORT and SUPABASE_PORT are both 54321"],
  [{ DATABASE_URL: "db.example.com" }, "DATABASE_URL must be an address that begins with postgres:// or postgresql://"],
  [{ REDIS_URL: "http://localhost" }, "REDIS_URL must be an address that begins with redis:// or rediss://"],
  [{ SUPABASE_URL: "https://project.supabase.co" }, "SUPABASE_URL needs DATABASE_URL too"],
  [{ LITELLM_BASE_URL: "http://127.0.0.1:4000" }, "LITELLM_BASE_URL and LITELLM_API_KEY belong together"],
])("%j is refused by name", async (env, sentence) => {
  const refusal = await refusalOf(Promise.try(() => readSettings(env, folders)));
  expect(refusal).toContain(`bad_setting: ${sentence}`);
});
