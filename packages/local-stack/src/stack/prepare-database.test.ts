import { join } from "node:path";
import { createTestDatabase, refusalOf } from "@cortex/testing";
import { expect, onTestFinished, test } from "vitest";
import { prepareDatabase, withLogin } from "./prepare-database.ts";

const supabaseFolder = join(import.meta.dirname, "../../../../supabase");
const rolePasswords = { cortex_api: "one", cortex_worker: "other" };

test.each([
  [
    "a direct connection",
    "postgresql://postgres:old@db.example.com:5432/postgres",
    "postgresql://cortex_api:new@db.example.com:5432/postgres",
  ],
  [
    "the pooler of hosted Supabase, which wants the project in the name",
    "postgresql://postgres.abcdef:old@pooler.example.com:6543/postgres?sslmode=require",
    "postgresql://cortex_api.abcdef:new@pooler.example.com:6543/postgres?sslmode=require",
  ],
])("a role's login on %s", (_what, owner, expected) => {
  expect(withLogin(owner, "cortex_api", "new")).toBe(expected);
});

test("a database that cannot be reached is said, without its password", async () => {
  const ownerUrl = "postgresql://postgres:hidden@127.0.0.1:1/postgres";
  const refusal = await refusalOf(
    prepareDatabase({ ownerUrl, isSupabase: true, supabaseFolder: "/nonexistent", rolePasswords, dataFolder: null }),
  );
  expect(refusal).toMatch(/^start_failed: The database at 127.0.0.1:1 .*check DATABASE_URL/);
  expect(refusal).not.toContain("hidden");
});

test("a database of other migrations is said, with the way to an empty one", async () => {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  await database.owner.query("update supabase_migrations.schema_migrations set statements = array['select 1']");
  const input = {
    ownerUrl: database.ownerUrl,
    isSupabase: false,
    supabaseFolder,
    rolePasswords,
    dataFolder: "/home/data",
  };
  const refusal = await refusalOf(prepareDatabase(input));
  expect(refusal).toMatch(/^start_failed: .*changed after it had been applied.*when \/home\/data is removed\)\.$/);
});

test("a role that is not the owner is told that it has to be", async () => {
  const database = await createTestDatabase();
  onTestFinished(() => database.drop());
  const input = { ownerUrl: database.apiUrl, isSupabase: true, supabaseFolder, rolePasswords, dataFolder: null };
  expect(await refusalOf(prepareDatabase(input))).toMatch(
    /^start_failed: .*permission denied.*the owner's connection is needed/,
  );
});
