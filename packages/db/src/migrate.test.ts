import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTestDatabase, createTestFolder, refusalOf, type TestDatabase } from "@cortex/testing";
import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { migrate, seed } from "./migrate.ts";
import { setRolePasswords } from "./role-passwords.ts";

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

/** A database whose history is empty, for migrations of the tests' own. */
async function database(): Promise<TestDatabase> {
  const created = await createTestDatabase();
  await created.owner.query("delete from supabase_migrations.schema_migrations");
  onTestFinished(() => created.drop());
  return created;
}

function folderWith(files: Record<string, string>): string {
  const folder = createTestFolder();
  for (const [name, sql] of Object.entries(files)) writeFileSync(join(folder, name), sql);
  return folder;
}

test("files apply once, in order, and are recorded where the Supabase CLI looks", async () => {
  const client = await connect((await database()).ownerUrl);
  const one =
    "create table first (); -- a comment; with a semicolon\ncreate function f() returns int language sql as $$ select 1; $$;";
  const folder = folderWith({
    "29990101000002_second.sql": "alter table first add column x int;",
    "29990101000001_first.sql": one,
  });
  expect(await migrate(client, { folder })).toEqual(["29990101000001_first.sql", "29990101000002_second.sql"]);
  expect(await migrate(client, { folder })).toEqual([]);
  const { rows } = await client.query(
    "select * from supabase_migrations.schema_migrations where version like '2999%' order by version",
  );
  expect(rows).toEqual([
    { version: "29990101000001", name: "first", statements: [one] },
    { version: "29990101000002", name: "second", statements: ["alter table first add column x int;"] },
  ]);
});

test("a file that fails leaves nothing of itself, keeps those before it, and is named with its line", async () => {
  const client = await connect((await database()).ownerUrl);
  const folder = folderWith({
    "29990101000001_good.sql": "create table good ();",
    "29990101000002_bad.sql": "create table half ();\n\nselect nonsense;\n",
  });
  expect(await refusalOf(migrate(client, { folder }))).toMatch(/^29990101000002_bad.sql: .*nonsense.*\(line 3\)$/);
  const { rows } = await client.query("select to_regclass('good')::text as good, to_regclass('half')::text as half");
  expect(rows).toEqual([{ good: "good", half: null }]);
});

test("processes that migrate at once apply every file once", async () => {
  const { ownerUrl } = await database();
  const folder = folderWith({ "29990101000001_slow.sql": "select pg_sleep(0.2); create table slow ();" });
  const clients = await Promise.all([1, 2, 3].map(() => connect(ownerUrl)));
  const applied = await Promise.all(clients.map((client) => migrate(client, { folder })));
  expect(applied.flat()).toEqual(["29990101000001_slow.sql"]);
});

test("a file without a version is refused before anything applies", async () => {
  const client = await connect((await database()).ownerUrl);
  const folder = folderWith({ "29990101000001_good.sql": "create table good ();", "oops.sql": "select 1;" });
  await expect(migrate(client, { folder })).rejects.toMatchObject({ file: "oops.sql" });
  expect((await client.query("select to_regclass('good') as good")).rows).toEqual([{ good: null }]);
});

test("a database that other files have made is refused, by name", async () => {
  const client = await connect((await database()).ownerUrl);
  await migrate(client, { folder: folderWith({ "29990101000001_one.sql": "create table one ();" }) });
  const changed = folderWith({ "29990101000001_one.sql": "create table one (id int);" });
  expect(await refusalOf(migrate(client, { folder: changed }))).toMatch(
    /^29990101000001_one.sql: it was changed after/,
  );
  const other = folderWith({ "29990101000002_two.sql": "create table two ();" });
  expect(await refusalOf(migrate(client, { folder: other }))).toMatch(/^29990101000001: this database has it/);
  expect((await client.query("select to_regclass('two') as two")).rows).toEqual([{ two: null }]);
});

test("what the Supabase CLI applied, statement by statement, is not applied again", async () => {
  const client = await connect((await database()).ownerUrl);
  await client.query(
    "insert into supabase_migrations.schema_migrations (version, name, statements) values ('29990101000001', 'one', $1)",
    [["create table one ()", "create table two ()"]],
  );
  const folder = folderWith({ "29990101000001_one.sql": "create table one (); create table two ();" });
  expect(await migrate(client, { folder })).toEqual([]);
});

test("a seed runs again only when its content changed", async () => {
  const client = await connect((await database()).ownerUrl);
  const folder = folderWith({
    "other-seed.sql": "create table if not exists seeded (); alter table seeded add column a int;",
  });
  const file = join(folder, "other-seed.sql");
  expect([await seed(client, { file }), await seed(client, { file })]).toEqual([true, false]);
  writeFileSync(file, "alter table seeded add column b int;");
  expect(await seed(client, { file })).toBe(true);
});

test("a role logs in with the password that was set, and no statement carries it", async () => {
  const { owner, ownerUrl } = await database();
  // a role of this test's own: the two real ones belong to everybody on this server
  await owner.query("create role throwaway nologin");
  onTestFinished(async () => {
    const client = new pg.Client({ connectionString: ownerUrl });
    await client.connect();
    await client.query("drop role throwaway");
    await client.end();
  });
  const client = await connect(ownerUrl);
  const statements: string[] = [];
  const spy = {
    escapeIdentifier: () => "throwaway",
    escapeLiteral: (text: string) => client.escapeLiteral(text),
    query: (sql: string) => {
      statements.push(sql);
      return client.query(sql);
    },
  };
  await setRolePasswords(spy, { cortex_api: "first-Password", cortex_worker: "last-Password" });
  expect(statements.join()).not.toContain("Password");
  const url = new URL(ownerUrl);
  url.username = "throwaway";
  url.password = "last-Password";
  const login = await connect(url.href);
  expect((await login.query("select current_user as name")).rows).toEqual([{ name: "throwaway" }]);
});
