import { createHash } from "node:crypto";
import { readFile, readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Client } from "pg";

/** One file of `supabase/migrations`, `<version>_<name>.sql`, as the Supabase CLI names them. */
export type Migration = { version: string; name: string; file: string; sql: string };

/** Any number that no other advisory lock of ours uses; "cortex" on a phone's keys. */
const LOCK_KEY = 267839;

/** A migration failed, or the folder and the database contradict each other. Nothing of the failed file was kept. */
export class MigrationError extends Error {
  readonly file: string;

  constructor(file: string, message: string, options?: { cause?: unknown }) {
    super(`${file}: ${message}`, options);
    this.name = "MigrationError";
    this.file = file;
  }
}

/** The migrations of a folder in the order in which they apply (by version, compared as text, like the CLI). */
export async function readMigrations(folder: string): Promise<Migration[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".sql")).sort();
  return Promise.all(
    files.map(async (file) => {
      const match = /^(\d+)_(.*)\.sql$/.exec(file);
      if (match?.[1] === undefined || match[2] === undefined) {
        throw new MigrationError(file, "the name must be <version>_<name>.sql, with digits as version");
      }
      return { version: match[1], name: match[2], file, sql: await readFile(join(folder, file), "utf8") };
    }),
  );
}

/** A hash over all migrations: equal folders make equal databases. */
export function hashMigrations(migrations: readonly Migration[]): string {
  const hash = createHash("sha256");
  for (const { version, name, sql } of migrations) hash.update(JSON.stringify([version, name, sql]));
  return hash.digest("hex");
}

/**
 * Applies what is missing, each file in its own transaction, and records it where the Supabase CLI does
 * (`supabase_migrations.schema_migrations`: version, name, statements), so that both may take turns on one database.
 * `statements` holds the whole file as one element. Several processes may call this at once: an advisory lock lets one
 * work and the others find nothing to do. `client` must be the owner's, on a direct or session connection.
 * Returns the files that were applied. Error: `MigrationError`.
 */
export async function migrate(client: Client, input: { folder: string }): Promise<string[]> {
  const migrations = await readMigrations(input.folder);
  await client.query("select pg_advisory_lock($1)", [LOCK_KEY]);
  try {
    await ensureHistory(client);
    const { rows } = await client.query<Applied>(
      "select version, statements from supabase_migrations.schema_migrations",
    );
    refuseDrift(migrations, rows);
    const done = new Set(rows.map((row) => row.version));
    const applied: string[] = [];
    for (const migration of migrations) {
      if (done.has(migration.version)) continue;
      await apply(client, migration);
      applied.push(migration.file);
    }
    return applied;
  } finally {
    await client.query("select pg_advisory_unlock($1)", [LOCK_KEY]);
  }
}

/**
 * Runs a seed file unless this very content ran before (`supabase_migrations.seed_files`, as the CLI keeps it).
 * Returns whether it ran. Error: `MigrationError`.
 */
export async function seed(client: Client, input: { file: string }): Promise<boolean> {
  const sql = await readFile(input.file, "utf8");
  const path = `supabase/${basename(input.file)}`;
  const hash = createHash("sha256").update(sql).digest("hex");
  await ensureHistory(client);
  const known = await client.query("select 1 from supabase_migrations.seed_files where path = $1 and hash = $2", [
    path,
    hash,
  ]);
  if (known.rowCount !== 0) return false;
  await inTransaction(client, path, sql, () =>
    client.query(
      "insert into supabase_migrations.seed_files (path, hash) values ($1, $2) on conflict (path) do update set hash = excluded.hash",
      [path, hash],
    ),
  );
  return true;
}

type Applied = { version: string; statements: string[] | null };

/**
 * A database that was made by other files would fail later, far away and without a hint. What the CLI applied is in many
 * statements instead of one and is taken on trust.
 */
function refuseDrift(migrations: readonly Migration[], applied: readonly Applied[]): void {
  const known = new Map(migrations.map((migration) => [migration.version, migration]));
  for (const { version, statements } of applied) {
    const migration = known.get(version);
    if (migration === undefined) {
      const why = "this database has it, the folder does not: it was made by another version of the sources";
      throw new MigrationError(version, `${why}; take that one, or an empty database`);
    }
    if (statements?.length === 1 && statements[0] !== migration.sql) {
      const why = "it was changed after it had been applied to this database";
      throw new MigrationError(migration.file, `${why}; write a new migration instead, or take an empty database`);
    }
  }
}

/** The CLI's own statements, so that whoever comes first makes the same tables. */
async function ensureHistory(client: Client): Promise<void> {
  await client.query(`
    create schema if not exists supabase_migrations;
    create table if not exists supabase_migrations.schema_migrations (version text not null primary key);
    alter table supabase_migrations.schema_migrations add column if not exists statements text[];
    alter table supabase_migrations.schema_migrations add column if not exists name text;
    create table if not exists supabase_migrations.seed_files (path text not null primary key, hash text not null);
  `);
}

async function apply(client: Client, migration: Migration): Promise<void> {
  await inTransaction(client, migration.file, migration.sql, () =>
    client.query("insert into supabase_migrations.schema_migrations (version, name, statements) values ($1, $2, $3)", [
      migration.version,
      migration.name,
      [migration.sql],
    ]),
  );
}

async function inTransaction(client: Client, file: string, sql: string, record: () => Promise<unknown>): Promise<void> {
  await client.query("begin");
  try {
    await client.query(sql);
    await record();
    await client.query("commit");
  } catch (error) {
    await client.query("rollback");
    throw new MigrationError(file, describe(error, sql), { cause: error });
  }
}

/** Postgres' message with the line of the file that it is about. */
function describe(error: unknown, sql: string): string {
  if (!(error instanceof Error)) return String(error);
  const position = "position" in error ? Number(error.position) : Number.NaN;
  const line = Number.isInteger(position) ? ` (line ${sql.slice(0, position).split("\n").length})` : "";
  return `${error.message}${line}`;
}
