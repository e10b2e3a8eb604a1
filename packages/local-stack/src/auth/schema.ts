import { readFile } from "node:fs/promises";
import { StackError } from "../stack-error.ts";
import { findOne, type Queryable } from "./database.ts";

/**
 * Makes the schema `auth` (tables, types, functions as on hosted Supabase) and pgcrypto in the schema `extensions`; may run again.
 * Needs a connection that may create schemas and extensions, and the roles anon, authenticated and service_role if they
 * are to get their grants. Run it under the lock that guards the set-up of the database: `create … if not exists` is no lock.
 */
export async function ensureAuthSchema(connection: Queryable): Promise<void> {
  await connection.query(await readFile(new URL("schema.sql", import.meta.url), "utf8"));
}

/** The tables this server cannot work without; the last one the schema makes among them stands for the rest. */
const REQUIRED_TABLES = ["users", "identities", "sessions", "refresh_tokens", "mfa_amr_claims", "one_time_tokens"];

/**
 * The quoted name of the schema that holds pgcrypto (`extensions` on hosted projects, elsewhere in older databases).
 * @throws StackError `not_ready` when the auth schema or pgcrypto is missing, so that the server never starts half-working
 */
export async function findPgcryptoSchema(db: Queryable): Promise<string> {
  const found = await findOne<{ tables: number; pgcrypto: string | null }>(
    db,
    `select (select count(*)::int from information_schema.tables where table_schema = 'auth' and table_name = any($1)) as tables,
            (select quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace
              where e.extname = 'pgcrypto') as pgcrypto`,
    [REQUIRED_TABLES],
  );
  if (found === null || found.tables < REQUIRED_TABLES.length || found.pgcrypto === null) {
    throw new StackError(
      "not_ready",
      "The database has no auth schema yet: set up the database (roles, schema auth, pgcrypto) before the auth server starts.",
    );
  }
  return found.pgcrypto;
}
