import { execFile } from "node:child_process";
import { join, resolve } from "node:path";
import { ensureSupabaseBase, freePort, startPostgres, startWatchdog } from "@cortex/local-stack";
import { createTestFolder } from "@cortex/testing";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";

/*
 * The commands that prepare a database, against a server of its own whose owner may no more than `postgres` may on hosted Supabase: no
 * superuser, and the schema `auth` is somebody else's.
 */

const root = resolve(import.meta.dirname, "../..");
const passwords = {
  CORTEX_API_DB_PASSWORD: "api-0123456789abcdef",
  CORTEX_WORKER_DB_PASSWORD: "worker-0123456789abcdef",
};
let watchdog: ReturnType<typeof startWatchdog> | undefined;
let server: Awaited<ReturnType<typeof startPostgres>>;
let owner: pg.Client;

const as = (user: string, password: string): string => {
  const url = new URL(server.url);
  url.username = user;
  url.password = password;
  return url.href;
};

beforeAll(async () => {
  const folder = createTestFolder();
  const guard = startWatchdog();
  watchdog = guard;
  server = await startPostgres({
    dataDir: join(folder, "postgres"),
    port: await freePort(),
    passwordFile: join(folder, "secrets/postgres"),
    logFile: join(folder, "postgres.log"),
    onSpawn: (pid) => guard.watch({ pid, signal: "SIGQUIT", stage: "store" }),
  });
  const superuser = new pg.Client({ connectionString: server.url });
  await superuser.connect();
  await ensureSupabaseBase(superuser);
  await superuser.query(`
    create role owner login createdb createrole bypassrls replication password 'owner';
    grant anon, authenticated, service_role to owner;
    alter database postgres owner to owner;
    grant usage on schema auth to owner;
    grant all on all routines in schema auth to owner;
    alter role supabase_auth_admin login password 'auth';
    do $$
      declare
        one text;
      begin
        for one in select tablename from pg_tables where schemaname = 'auth' loop
          execute format('alter table auth.%I owner to supabase_auth_admin', one);
        end loop;
      end
    $$;
    grant all on all tables in schema auth to owner;
  `);
  await superuser.end();
  owner = new pg.Client({ connectionString: as("owner", "owner") });
  await owner.connect();
});

afterAll(async () => {
  await owner?.end();
  await server?.stop();
  await watchdog?.close();
});

type Ended = { code: number; said: string };

const run = (script: string, env: Record<string, string> = {}, ...argv: string[]): Promise<Ended> =>
  new Promise((done) => {
    const file = join(root, "packages/db/scripts", script);
    const environment = { PATH: process.env["PATH"] ?? "", DATABASE_URL: as("owner", "owner"), ...env };
    const child = execFile(process.execPath, [file, ...argv], { env: environment }, (_error, stdout, stderr) =>
      done({ code: child.exitCode ?? -1, said: `${stdout}${stderr}`.trim() }),
    );
  });

test("migrations apply once", async () => {
  const first = await run("migrate.ts");
  expect(first.said).toMatch(/^applied \d+_schema_and_roles\.sql, /);
  expect(first.code).toBe(0);
  expect(await run("migrate.ts")).toEqual({ code: 0, said: "the database is up to date" });
});

test("the roles log in with the passwords of the environment, and with others after the next time", async () => {
  expect(await run("set-role-passwords.ts", passwords)).toMatchObject({ code: 0 });
  const logsIn = async (password: string): Promise<string> => {
    const client = new pg.Client({ connectionString: as("cortex_api", password) });
    try {
      await client.connect();
      const { rows } = await client.query<{ me: string }>("select current_user as me");
      return rows[0]?.me ?? "";
    } catch {
      return "refused";
    } finally {
      await client.end();
    }
  };
  expect(await logsIn(passwords.CORTEX_API_DB_PASSWORD)).toBe("cortex_api");
  await run("set-role-passwords.ts", { ...passwords, CORTEX_API_DB_PASSWORD: "another-0123456789" });
  expect(await logsIn(passwords.CORTEX_API_DB_PASSWORD)).toBe("refused");
  expect(await logsIn("another-0123456789")).toBe("cortex_api");
});

test("who signs up gets the plan that was chosen", async () => {
  expect(await run("set-default-plan.ts", {}, "local")).toEqual({ code: 0, said: "new accounts get the plan local" });
  const auth = new pg.Client({ connectionString: as("supabase_auth_admin", "auth") });
  try {
    await auth.connect();
    await auth.query("insert into auth.users (id, email) values (gen_random_uuid(), 'ann@example.com')");
  } finally {
    await auth.end();
  }
  const { rows } = await owner.query("select kind, name, plan_id from cortex.accounts");
  expect(rows).toEqual([{ kind: "personal", name: "ann", plan_id: "local" }]);
});

test.each<[what: string, script: string, env: Record<string, string>, argv: string[], said: RegExp]>([
  ["no database", "migrate.ts", { DATABASE_URL: "" }, [], /^DATABASE_URL is not set: /],
  ["no server", "migrate.ts", { DATABASE_URL: "postgresql://a:b@127.0.0.1:1/c" }, [], /ECONNREFUSED/],
  ["no password", "set-role-passwords.ts", {}, [], /^CORTEX_API_DB_PASSWORD is not set: /],
  ["a short one", "set-role-passwords.ts", { ...passwords, CORTEX_API_DB_PASSWORD: "short" }, [], /at least 16/],
  ["no plan", "set-default-plan.ts", {}, [], /^"" is no plan: name one of free, local\.$/],
  ["another plan", "set-default-plan.ts", { DEFAULT_PLAN: "gold" }, [], /^"gold" is no plan/],
])("%s: one sentence and exit code 1", async (_what, script, env, argv, said) => {
  const ended = await run(script, env, ...argv);
  expect(ended.code).toBe(1);
  expect(ended.said).toMatch(said);
  expect(ended.said.split("\n")).toHaveLength(1);
});
