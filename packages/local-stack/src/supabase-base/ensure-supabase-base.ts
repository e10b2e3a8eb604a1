import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "pg";

const FILES = ["roles.sql", "../auth/schema.sql"];

/** The SQL of the base, in order; part of the hash that names the tests' template database. */
export function readSupabaseBase(): Promise<string[]> {
  return Promise.all(FILES.map((file) => readFile(join(import.meta.dirname, file), "utf8")));
}

/**
 * Gives a bare PostgreSQL what a hosted Supabase project has before its first migration: the roles `anon`,
 * `authenticated`, `service_role`, …, the schemas `auth` (Supabase Auth's tables, `auth.uid()` and its sisters) and
 * `extensions`. Idempotent; one process at a time (`client` must be a superuser's).
 */
export async function ensureSupabaseBase(client: Client): Promise<void> {
  await client.query("begin");
  try {
    await client.query("select pg_advisory_xact_lock(hashtext('supabase-base'))");
    await client.query("set local client_min_messages = warning");
    for (const sql of await readSupabaseBase()) await client.query(sql);
    await client.query("commit");
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}
