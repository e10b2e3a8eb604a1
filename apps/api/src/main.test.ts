import {
  aRun,
  aUser,
  createFaultProxy,
  createTestDatabase,
  createTestRedis,
  eventually,
  type TestDatabase,
  type TestRedis,
} from "@cortex/testing";
import { Redis } from "ioredis";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { addressOf, type StartedApi, startApiProcess } from "./testing/api-process.ts";
import { type SigningProject, startSigningProject } from "./testing/signing-project.ts";

let database: TestDatabase;
let redis: TestRedis;
let project: SigningProject;
beforeAll(async () => {
  [database, redis, project] = await Promise.all([createTestDatabase(), createTestRedis(), startSigningProject()]);
});
afterAll(() => Promise.all([database.drop(), redis.drop(), project.close()]));

/** The process as it is deployed, with this environment and nothing else. */
const start = (changes: Record<string, string>): StartedApi => {
  const env = {
    API_PORT: "0",
    DATABASE_URL: database.apiUrl,
    REDIS_URL: redis.url,
    SUPABASE_URL: project.url,
    DEFAULT_MODEL: "demo",
    STREAM_TICKET_SECRET: "of a test, with thirty-two characters",
    ...changes,
  };
  return startApiProcess(env);
};

test("the running process is cortex_api: no owner, no superuser, no way around row-level security", async () => {
  const url = await addressOf(start({}));
  const ready = await fetch(`${url}/ready`);
  expect([ready.status, await ready.json()]).toMatchObject([
    200,
    {
      status: "ready",
      durability: { postgres: { fsync: "on", synchronous_commit: "on" }, redis: { appendonly: "yes" } },
    },
  ]);
  const { rows } = await database.owner.query(
    `select distinct activity.usename as name, roles.rolsuper, roles.rolbypassrls, roles.rolcreaterole, roles.rolcreatedb,
       exists (select 1 from pg_class where relnamespace = 'cortex'::regnamespace and pg_has_role(activity.usename, relowner, 'usage')) as owns
     from pg_stat_activity activity join pg_roles roles on roles.rolname = activity.usename
     where activity.application_name = 'cortex-api' and activity.datname = current_database()`,
  );
  expect(rows).toEqual([
    { name: "cortex_api", rolsuper: false, rolbypassrls: false, rolcreaterole: false, rolcreatedb: false, owns: false },
  ]);
});

test("SIGTERM ends streams without done, answers what is under way, and the process with 0", async () => {
  const api = start({});
  const url = await addressOf(api);
  const user = await aUser(database.owner);
  const { runId } = await aRun(database.owner, { accountId: user.accountId });
  const headers = { authorization: `Bearer ${await project.token({ sub: user.userId })}` };
  const response = await fetch(`${url}/api/agent-run/${runId}/stream`, { headers });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("id: 1.0")) text += (await reader?.read())?.value ?? "";

  const before = performance.now();
  api.process.kill("SIGTERM");
  for (let piece = await reader?.read(); piece && !piece.done; piece = await reader?.read()) text += piece.value;
  expect(text).not.toContain("event: done");
  expect(await api.ended).toBe(0);
  // Well before it would just end (SHUTDOWN_TIMEOUT_MS, 10 s).
  expect(performance.now() - before).toBeLessThan(8_000);

  const request = api.lines().find((line) => line["msg"] === "request");
  expect(request).toMatchObject({
    method: "GET",
    route: "/api/agent-run/:agent_run_id/stream",
    status: 200,
    user_id: user.userId,
    request_id: response.headers.get("x-request-id"),
  });
  // Neither ids of objects nor what proves an identity stand in the log.
  expect(api.output()).not.toContain(headers.authorization.slice(7, 40));
});

test("may be started before Postgres and Redis: alive at once, ready when they are there, not while Redis is full", async () => {
  const own = await createTestRedis({ own: true });
  onTestFinished(() => own.drop());
  const at = (address: string) => ({ host: "127.0.0.1", port: Number(new URL(address).port) });
  const [postgres, line] = await Promise.all([createFaultProxy(at(database.apiUrl)), createFaultProxy(at(own.url))]);
  onTestFinished(async () => {
    await Promise.all([postgres.close(), line.close()]);
  });
  await Promise.all([postgres.set("refuse"), line.set("refuse")]);
  const url = await addressOf(
    start({ DATABASE_URL: postgres.through(database.apiUrl), REDIS_URL: line.through(own.url) }),
  );
  const states = async (): Promise<string[]> => {
    const response = await fetch(`${url}/ready`);
    const { dependencies } = (await response.json()) as { dependencies: Record<string, { status: string }> };
    return [String(response.status), ...["postgres", "redis"].map((name) => dependencies[name]?.status ?? "")];
  };
  expect((await fetch(`${url}/health`)).status).toBe(200);
  expect(await states()).toEqual(["503", "down", "down"]);
  await Promise.all([postgres.set("pass"), line.set("pass")]);
  await eventually(async () => (await states()).join() === "200,up,up", { timeoutMs: 15_000 });
  const client = new Redis(own.url);
  onTestFinished(() => client.disconnect());
  await client.config("SET", "maxmemory", "1");
  expect(await states()).toEqual(["503", "up", "down"]);
  await client.config("SET", "maxmemory", "0");
  expect(await states()).toEqual(["200", "up", "up"]);
  expect((await fetch(`${url}/health`)).status).toBe(200);
});

test("no fault is armed by mistake: with NODE_ENV=production the process does not start", async () => {
  const api = start({ MECHANISMS_OFF: "fence", NODE_ENV: "production" });
  expect(await api.ended).toBe(1);
  expect(api.output()).toContain("The API cannot start: FAILPOINTS and MECHANISMS_OFF break things on purpose");
});

test("an environment that is nonsense is refused with one sentence for each mistake", async () => {
  const api = start({
    DATABASE_URL: "mysql://x",
    API_PORT: "http",
    WEB_ORIGINS: "*",
    SUPABASE_JWT_SECRET: "short",
    STREAM_TICKET_SECRET: "",
  });
  expect(await api.ended).toBe(1);
  for (const name of ["DATABASE_URL", "API_PORT", "WEB_ORIGINS", "SUPABASE_JWT_SECRET", "STREAM_TICKET_SECRET"]) {
    expect(api.output()).not.toContain("    at ");
    expect(api.output().match(new RegExp(`^ {2}${name}: .+`, "gm"))).toHaveLength(1);
  }
});

test("a port that is taken ends the process with a reason", async () => {
  const url = await addressOf(start({}));
  const second = start({ API_PORT: new URL(url).port });
  expect(await second.ended).toBe(1);
  expect(second.output()).toContain("EADDRINUSE");
});
